"""Checkpoints: what is kept, what is damaged, what is reported."""

import dataclasses
import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.training.checkpoints import (
    _CHECKSUMS,
    CheckpointError,
    Checkpoints,
    _write_checksums,
    load_params,
)
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.loading import load_policy
from hackmatrix_core.training.runner import as_plain, init_runner, make_agent
from tests.training import probe_environments as probes

CONFIG = TrainConfig(num_envs=4, num_minibatches=2, hidden_dim=8, num_layers=1)


@pytest.fixture(scope="module")
def runner():
    agent = make_agent(CONFIG, probes.TwoStepCredit())
    return jax.jit(lambda key: init_runner(agent, key))(jax.random.key(0))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run" / "checkpoints")


def at_update(runner, update):
    """The runner with contents that show which update they belong to."""
    params = jax.tree.map(lambda x: jnp.full_like(x, update), runner.params)
    return runner._replace(update=jnp.asarray(update, jnp.int32), params=params)


def restore(checkpoints, runner):
    return checkpoints.restore_newest(jax.eval_shape(lambda: runner), CONFIG)


def save(checkpoints, runner, *updates):
    for update in updates:
        checkpoints.save(at_update(runner, update), CONFIG, 0.0)


def assert_same(first, second):
    """The same contents; what was read has plain keys."""
    for a, b in zip(jax.tree.leaves(as_plain(first)), jax.tree.leaves(as_plain(second)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def largest_file(directory):
    """The largest that holds content: arrays lie in `d`, and of what lies beside it not all is read."""
    arrays = directory / "d"
    files = (path for path in (arrays if arrays.is_dir() else directory).rglob("*") if path.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def test_everything_comes_back(checkpoints, runner):
    save(checkpoints, runner, 1)
    assert_same(restore(checkpoints, runner), at_update(runner, 1))
    assert checkpoints.stored_config() == CONFIG


def test_a_value_counts_what_was_learned_by_then(checkpoints, runner, tmp_path):
    config = dataclasses.replace(
        CONFIG, total_timesteps=8 * CONFIG.batch_size, shaping_fades=0.5, gamma=0.9, gamma_to=0.975
    )
    for update in (1, 4):
        checkpoints.save(at_update(runner, update), config, 0.0)
    objectives = [load_policy(tmp_path / "run" / "checkpoints" / str(update)).objective for update in (1, 4)]
    assert [objective.shaping for objective in objectives] == [0.75, 0.0]
    np.testing.assert_allclose([objective.gamma for objective in objectives], [1 - 0.1 * 0.25 ** (1 / 8), 0.95])


def test_nothing_to_restore(checkpoints, runner):
    assert restore(checkpoints, runner) is None
    assert checkpoints.stored_config() is None


def test_the_last_three_and_the_best_are_kept(checkpoints, runner):
    for update, quality in enumerate([1.0, 9.0, 3.0, float("nan"), -1.0, 4.0]):
        checkpoints.save(at_update(runner, update), CONFIG, quality)
    assert checkpoints.updates == [1, 3, 4, 5]
    for update in range(6, 12):
        checkpoints.save(at_update(runner, update), CONFIG, float("nan"))
    assert checkpoints.updates == [1, 9, 10, 11]
    Checkpoints(checkpoints.directory).save(at_update(runner, 12), CONFIG, 8.0)  # a resumed run
    assert checkpoints.updates == [1, 10, 11, 12]


def test_a_policy_is_not_loaded_with_a_flipped_bit(checkpoints, runner):
    save(checkpoints, runner, 1)
    folder = checkpoints.directory / "1" / "policy"
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.stat().st_size}
    expected = load_params(checkpoints.directory)[0]
    places, refused = np.random.default_rng(0), 0
    for path, content in whole.items():
        for place in places.integers(0, len(content), 3):
            harmed = bytearray(content)
            harmed[place] ^= 1 << int(places.integers(8))
            path.write_bytes(harmed)
            try:
                assert_same(load_params(checkpoints.directory)[0], expected)  # what is read is whole, or not read
            except CheckpointError as error:
                assert "cannot be read" in str(error)  # noqa: PT017
                refused += 1
        path.write_bytes(content)
    assert refused == 3 * len(whole)


@pytest.mark.parametrize("item", ["policy", "training", "about"])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_newest_is_warned_about_and_the_one_before_is_used(checkpoints, runner, item, harm):
    save(checkpoints, runner, 1, 2)
    folder = checkpoints.directory / "2" / item
    path = largest_file(folder)
    if harm == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif harm == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(content)
    else:
        shutil.rmtree(folder)
    with pytest.warns(UserWarning, match="the checkpoint of update 2 is damaged and is not used"):
        restored = restore(checkpoints, runner)
    assert_same(restored, at_update(runner, 1))
    assert checkpoints.updates == [1]
    assert (checkpoints.directory.parent / "checkpoints.2.damaged").is_dir()
    save(checkpoints, runner, 2)
    assert_same(restore(checkpoints, runner), at_update(runner, 2))


def test_a_file_where_a_damaged_checkpoint_is_set_aside_stays(checkpoints, runner):
    save(checkpoints, runner, 1, 2)
    shutil.rmtree(checkpoints.directory / "2" / "policy")
    in_the_way = checkpoints.directory.with_name("checkpoints.2.damaged")
    in_the_way.write_text("mine")
    with pytest.warns(UserWarning, match="update 2 is damaged"):
        assert_same(restore(checkpoints, runner), at_update(runner, 1))
    assert in_the_way.read_text() == "mine"
    assert checkpoints.updates == [1]


@pytest.mark.parametrize("about", [{"shapes": {}}, {"config": [1]}, [], 7])
def test_a_description_without_a_config_is_damage_even_if_its_checksum_is_right(checkpoints, runner, about):
    save(checkpoints, runner, 1, 2)
    (file,) = (path for path in (checkpoints.directory / "2" / "about").iterdir() if "config" in path.read_text())
    file.write_text(json.dumps(about))
    (checkpoints.directory / "2" / _CHECKSUMS).unlink()
    _write_checksums(checkpoints.directory / "2")
    with pytest.raises(CheckpointError, match="2 cannot be read: its description has no config"):
        load_policy(checkpoints.directory)
    with pytest.warns(UserWarning, match="update 2 is damaged"):
        assert checkpoints.stored_config() == CONFIG


def test_if_all_are_damaged_it_says_so(checkpoints, runner):
    save(checkpoints, runner, 1)
    shutil.rmtree(checkpoints.directory / "1" / "policy")
    with (
        pytest.warns(UserWarning, match="update 1"),
        pytest.raises(CheckpointError, match=r"all checkpoints in .* are damaged"),
    ):
        restore(checkpoints, runner)


def test_a_run_of_another_version_is_not_called_damaged(checkpoints, runner, monkeypatch):
    save(checkpoints, runner, 1)
    save(checkpoints, runner, 2)
    known = TrainConfig.from_dict
    monkeypatch.setattr(TrainConfig, "from_dict", lambda values: known(values | {"novelty": 1}))
    sentence = "holds a run of another version of this package: unknown config field novelty"
    with pytest.raises(CheckpointError, match=sentence):
        restore(checkpoints, runner)
    with pytest.raises(CheckpointError, match=sentence):
        checkpoints.stored_config()
    assert checkpoints.updates == [1, 2]


def test_a_file_in_the_way_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/checkpoints cannot be written to .*Choose another run directory"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_a_full_disk_is_reported_before_training(checkpoints, runner):
    huge = runner._replace(obs=jax.ShapeDtypeStruct((2**50,), jnp.uint8))
    with pytest.raises(CheckpointError, match=r"free, two checkpoints need 2\.0 PiB"):
        checkpoints.check_space(huge)
    checkpoints.check_space(runner)


def test_relative_and_home_paths(tmp_path, monkeypatch, runner):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path, target in [("near", tmp_path / "near"), ("~/far", tmp_path / "home/far")]:
        opened = Checkpoints(path)
        save(opened, runner, 1)
        assert (target / "1").is_dir()
        params, about = load_params(path)
        assert_same(params, at_update(runner, 1).params)
        assert TrainConfig.from_dict(about["config"]) == CONFIG


def test_params_of_a_run_of_its_folder_and_of_one_checkpoint(checkpoints, runner):
    save(checkpoints, runner, 1, 2)
    run_dir = checkpoints.directory.parent
    for path, update in [(run_dir, 2), (run_dir / "checkpoints", 2), (run_dir / "checkpoints" / "1", 1)]:
        assert_same(load_params(path)[0], at_update(runner, update).params)
    with pytest.raises(CheckpointError, match=r"checkpoints has no checkpoint 7\. Choose one of 1, 2$"):
        load_params(run_dir / "checkpoints" / "7")
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        load_params(run_dir / "nowhere")
