"""The agents that come with the package are those that their descriptions describe."""

import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent import pretrained
from hackmatrix_core.cli import main
from hackmatrix_core.training.checkpoints import CheckpointError
from hackmatrix_core.training.config import TrainConfig


# An agent that is another one, or sees something else than it was trained on, is stages worse. 32 games show that, for
# their interval is ±0.7 stages or less; with 200 it is ±0.3.
@pytest.mark.parametrize("games", [32, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_its_evaluation_is_found_again(name, games):
    _, about = pretrained.load(pretrained.AGENTS[name])
    policy = hm.load_policy(name)
    told = about["evaluation"]["trained, sampled"]
    assert told["games"] >= 1000
    found = hm.evaluate(policy, jax.random.key(7), num_games=games).summary()
    # Other games than those of the description: the two 95 % intervals meet.
    for quantity in ("final_stage", "length"):
        assert found[quantity]["low"] <= told[quantity]["high"], quantity
        assert found[quantity]["high"] >= told[quantity]["low"], quantity
    assert found["final_stage"]["low"] > about["evaluation"]["greedy"]["final_stage"]["mean"]


@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_a_folder_of_that_name_is_a_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        hm.load_policy(Path(name))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the agent's folder, which the name stands for."""
    folder = shutil.copytree(pretrained.AGENTS["pretrained"], tmp_path / "copied")
    monkeypatch.setitem(pretrained.AGENTS, "pretrained", folder)
    return folder


def damages(intact):
    """What may become of the contents of a file."""
    rng = np.random.default_rng(0)
    for place in (*rng.integers(8 * len(intact), size=40), 0, 8 * len(intact) - 20):
        flipped = bytearray(intact)
        flipped[place // 8] ^= 1 << place % 8
        yield bytes(flipped)
    middle = len(intact) // 2
    yield from (intact[:middle], b"", intact + intact, b"[]", intact[:middle] + b"\0" * 512 + intact[middle + 512 :])
    yield intact[:middle] + np.full(4, np.nan, np.float16).tobytes() + intact[middle + 8 :]


@pytest.mark.parametrize("file", ["params.msgpack", "about.json"])
def test_damage_is_told_in_a_sentence(copied, file):
    intact = (copied / file).read_bytes()
    _, about = pretrained.load(copied)
    told = []
    for damaged in damages(intact):
        (copied / file).write_bytes(damaged)
        try:
            assert pretrained.load(copied)[1] == about
            assert file == "about.json"  # where a blank became another blank
        except CheckpointError as error:
            told.append(str(error))
    assert len(told) >= 40
    for sentence in told:
        assert re.fullmatch(rf"the agent in {copied} cannot be read: .*\. Install the package again", sentence)
    (copied / file).unlink()
    with pytest.raises(CheckpointError, match=rf"No such file or directory: .*{file}.*Install the package again"):
        hm.load_policy("pretrained")


@pytest.mark.parametrize("command", ["watch pretrained", "evaluate pretrained", "train --from pretrained --run-dir x"])
def test_commands_tell_of_damage(command, copied, tmp_path, monkeypatch, capsys):
    (copied / "params.msgpack").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 1
    told = capsys.readouterr().err
    assert "cannot be read: its files do not match their checksum. Install the package again" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", pretrained.AGENTS)
def test_its_description_is_whole(name):
    params, about = pretrained.load(pretrained.AGENTS[name])
    for run in (about, *about["earlier"]):
        config = TrainConfig.from_dict(run["config"])
        assert config.to_dict() == run["config"] | {"reward_weights": {}, "network": None}
        assert 0 < run["steps"] <= config.total_timesteps
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    assert hm.load_policy(name, greedy=True).greedy
