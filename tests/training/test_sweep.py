"""Many agents side by side: each trains as it would alone, and a sweep stops, resumes and shows what it found."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from hackmatrix_core.errors import CheckpointError
from hackmatrix_core.training.checkpoints import Checkpoints, load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.history import read_metrics
from hackmatrix_core.training.runner import as_plain, init_runner, make_agent
from hackmatrix_core.training.side_by_side import AgentGroup
from hackmatrix_core.training.sweep import Sweep, stored_sweep
from hackmatrix_core.training.sweep_plan import make_plan, programs
from hackmatrix_core.training.sweep_result import SweepResult
from hackmatrix_core.training.trainer import make_train
from hackmatrix_core.training.tuning import get_device_config
from tests.training import probe_environments as probes

CONFIG = TrainConfig(num_envs=16, num_steps=8, num_minibatches=2, total_timesteps=1024, hidden_dim=8, seed=5)


def sweep(run_dir, vary=None, seeds=1, **options):
    env = options.pop("env", probes.CuedAction())
    return Sweep(CONFIG, vary, seeds, run_dir=run_dir, env=env, callbacks=options.pop("callbacks", []), **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three seeds of two settings, five agents too many for one device of two."""
    run_dir = tmp_path_factory.mktemp("sweep")
    return sweep(run_dir, {"learning_rate": [1e-3, 1e-2]}, seeds=3).run()


def test_each_agent_trains_as_it_would_alone(trained):
    train = jax.jit(make_train(CONFIG, probes.CuedAction(), vary=("learning_rate",)))
    for member in trained.plan:
        alone, metrics = train(jax.random.key(member.config.seed), {"learning_rate": member.config.learning_rate})
        params, about = load_params(trained.folder(member))
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), params, alone.params)
        assert about["config"] == member.config.to_dict()
        history = read_metrics(trained.folder(member) / "metrics.jsonl")
        np.testing.assert_allclose([one["value_loss"] for one in history], metrics["value_loss"], rtol=1e-4)
    assert len({member.name for member in trained.plan}) == 6


def test_an_agent_goes_on_alone(trained, tmp_path):
    """Its directory is that of any run."""
    member = trained.plan[1]
    checkpoints = Checkpoints(trained.folder(member) / "checkpoints")
    assert checkpoints.stored_config() == member.config
    assert checkpoints.updates == [CONFIG.num_updates]


class Stop:
    """A callback that stops after so many updates."""

    def __init__(self, after):
        self.left = after

    def __call__(self, progress):
        self.left -= progress.is_new
        if self.left == 0:
            progress.stop()


@pytest.mark.parametrize("after", [3, 8])
def test_a_resumed_sweep_gives_the_same(trained, tmp_path, after):
    """Also one that was complete."""
    vary = {"learning_rate": [1e-3, 1e-2]}
    first = sweep(tmp_path, vary, seeds=3, callbacks=[Stop(after)]).run()
    assert (first.stopped_by is None) == (after == 8)
    result = sweep(tmp_path, vary, seeds=3, resume=True).run()
    assert result.stopped_by is None
    for member in trained.plan:
        for one, other in zip(
            *(jax.tree.leaves(load_params(of.folder(member))[0]) for of in (trained, result)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        names = set(result.histories[member.name][0]) - {"steps_per_second"}
        assert [{name: one[name] for name in names} for one in result.histories[member.name]] == [
            {name: one[name] for name in names} for one in trained.histories[member.name]
        ]


@pytest.mark.parametrize("at_once", [2, 6])
def test_agents_may_step_together(trained, tmp_path, monkeypatch, at_once):
    """As a GPU does it, some or all of them at once."""
    monkeypatch.setattr(AgentGroup, "_at_once", at_once)
    result = sweep(tmp_path, {"learning_rate": [1e-3, 1e-2]}, seeds=3).run()
    for member in trained.plan:
        one, other = (load_params(of.folder(member))[0] for of in (trained, result))
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), one, other)


def test_a_sweep_that_is_stopped_before_it_begins_can_be_run_again(tmp_path):
    waiting = sweep(tmp_path)
    waiting.stop()
    first, second = waiting.run(), waiting.run()
    assert (first.stopped_by, second.stopped_by) == ("request", None)
    assert [len(history) for history in (*first.histories.values(), *second.histories.values())] == [0, 8]


KILLED = """
import os, signal, sys

from tests.training.test_sweep import sweep

def kill(progress):
    if progress.is_new and progress.update == 5:
        os.kill(os.getpid(), signal.SIGKILL)

sweep(sys.argv[1], {"learning_rate": [1e-3, 1e-2]}, seeds=3, callbacks=[kill], save_every=float(sys.argv[2])).run()
"""


@pytest.mark.parametrize("save_every", [0.0, 1e9])
def test_a_killed_sweep_goes_on_exactly(trained, tmp_path, save_every):
    """From its last checkpoint, or from the beginning if there was none."""
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(save_every)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    result = sweep(tmp_path, {"learning_rate": [1e-3, 1e-2]}, seeds=3, resume=True).run()
    for member in trained.plan:
        jax.tree.map(
            np.testing.assert_array_equal,
            *(load_params(of.folder(member))[0] for of in (trained, result)),
        )
        assert len(result.histories[member.name]) == CONFIG.num_updates


def test_a_sweep_can_be_made_longer(trained, tmp_path):
    first = sweep(tmp_path, seeds=2, callbacks=[Stop(3)]).run()
    assert first.stopped_by == "request"
    longer = Sweep(
        dataclasses.replace(CONFIG, total_timesteps=2048),
        seeds=2,
        run_dir=tmp_path,
        env=probes.CuedAction(),
        callbacks=[],
        resume=True,
    ).run()
    assert [len(longer.histories[member.name]) for member in longer.plan] == [16, 16]
    assert stored_sweep(tmp_path)["config"]["total_timesteps"] == 2048


def test_metrics_that_cannot_be_written_do_not_end_it(tmp_path):
    (tmp_path / "agents" / "seed=5" / "metrics.jsonl").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="metrics.jsonl cannot be written"):
        result = sweep(tmp_path, seeds=2).run()
    assert result.stopped_by is None
    assert [load_params(result.folder(member))[1]["update"] for member in result.plan] == [8, 8]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": 3}', '{"config": {"num_envs": -1}}'])
def test_a_damaged_plan_gets_a_sentence(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(CheckpointError, match="no sweep can be resumed from there"):
        sweep(tmp_path, resume=True)


def test_each_agent_has_a_directory_of_its_own():
    """Also where few whole numbers are drawn again and again, and values that look alike."""
    few = make_plan(CONFIG, {"hidden_dim": "4..6"}, seeds=2, draws=20)
    alike = make_plan(CONFIG, {"gamma": [0.9, 0.9 + 1e-9]}, seeds=2)
    for plan in (few, alike):
        assert len({member.name for member in plan}) == len(plan)


ON_TWO_DEVICES = """
import sys

import jax

jax.config.update("jax_num_cpu_devices", 2)
from tests.training.test_sweep import sweep

result = sweep(sys.argv[1], {"learning_rate": [1e-3]}, seeds=3).run()
assert len(jax.devices()) == 2
assert result.stopped_by is None
"""


def test_devices_share_the_agents(trained, tmp_path):
    """Three on two: one device has an agent twice, which nobody sees."""
    environment = {**os.environ, "PYTHONPATH": "."}
    subprocess.run([sys.executable, "-c", ON_TWO_DEVICES, str(tmp_path)], env=environment, check=True, timeout=300)
    folders = sorted((tmp_path / "agents").iterdir())
    assert [folder.name for folder in folders] == [member.name for member in trained.plan[:3]]
    for folder, member in zip(folders, trained.plan, strict=False):
        one, other = (load_params(place)[0] for place in (folder, trained.folder(member)))
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), one, other)


def test_settings_that_change_what_is_compiled_become_programs(tmp_path):
    vary = {"hidden_dim": [4, 8], "gamma": [0.5, 0.9]}
    first = sweep(tmp_path, vary, seeds=2, callbacks=[Stop(11)]).run()
    assert first.stopped_by == "request"
    assert [len(first.histories[member.name]) for member in first.plan] == [8] * 4 + [3] * 4
    result = sweep(tmp_path, vary, seeds=2, resume=True).run()
    assert [len(result.histories[member.name]) for member in result.plan] == [8] * 8
    widths = {load_params(result.folder(member))[0]["params"]["Dense_0"]["bias"].size for member in result.plan}
    assert widths == {4, 8}
    assert sorted(path.name for path in (tmp_path / "programs").iterdir()) == ["1", "2"]
    assert len(programs(result.plan)) == 2


def test_agents_that_do_not_fit_into_memory_together_become_programs(tmp_path, monkeypatch):
    """A machine so small that two of five agents fill half of it."""
    runner = init_runner(make_agent(CONFIG, probes.CuedAction()), jax.random.key(0))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(as_plain(runner)))
    small = dataclasses.replace(get_device_config(), platform="cpu", memory=int(2.5 * 4 * size))
    monkeypatch.setattr("hackmatrix_core.training.sweep.get_device_config", lambda: small)
    many = sweep(tmp_path / "many", seeds=5)
    assert [len(members) for members in many._programs] == [2, 2, 1]


def test_an_agent_that_diverges_does_not_end_the_others(tmp_path):
    with pytest.warns(RuntimeWarning, match=r"learning_rate=1e\+30,seed=5 is no longer finite and is not saved"):
        result = sweep(tmp_path, {"learning_rate": [1e-3, 1e30]}).run()
    good, bad = result.plan
    assert load_params(result.folder(good))[1]["update"] == CONFIG.num_updates
    assert not (result.folder(bad) / "checkpoints").exists()


def test_it_fits_into_its_minutes(tmp_path):
    env = probes.ConstantReward()  # however many updates fit, there is nothing to learn that ends exploration
    result = sweep(tmp_path, {"hidden_dim": "4,8"}, seeds=2, env=env, minutes=0.05, fit=True).run()
    lengths = [result.histories[member.name][-1]["steps"] for member in result.plan]
    assert min(lengths) > CONFIG.total_timesteps
    assert all(load_params(result.folder(member))[1]["config"]["total_timesteps"] > 1024 for member in result.plan)


def test_another_sweep_in_the_same_directory_is_refused(trained):
    with pytest.raises(CheckpointError, match="already holds a sweep"):
        sweep(trained.run_dir, seeds=3)
    with pytest.raises(CheckpointError, match="has other values of vary"):
        sweep(trained.run_dir, {"learning_rate": [1e-3]}, seeds=3, resume=True)
    with pytest.raises(CheckpointError, match="no sweep can be resumed from there"):
        stored_sweep(trained.run_dir / "agents")


def test_draws_lie_in_their_range_log_uniformly():
    vary = {"ent_coef": "0.0001..1", "gamma": "0..1", "hidden_dim": "8..64", "kills": [1, 3]}
    plan = make_plan(CONFIG, vary, seeds=1, draws=400)
    assert len(plan) == 800
    drawn = {name: np.array([member.values[name] for member in plan]) for name in vary}
    assert 0.4 < np.mean(drawn["ent_coef"] < 0.01) < 0.6
    assert 0.4 < np.mean(drawn["gamma"] < 0.5) < 0.6
    assert drawn["ent_coef"].min() >= 0.0001
    assert drawn["ent_coef"].max() <= 1
    assert {type(value) for value in plan[0].values.values()} == {float, int}
    assert plan[0].config.reward_weights == {"kills": 1.0}
    assert [member.values for member in plan] == [m.values for m in make_plan(CONFIG, vary, seeds=1, draws=400)]
    assert max(len(member.name) for member in plan) < 200


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ({"gamma": "0..1"}, {}, "gamma has a range, and draws is None: say how many settings to draw"),
        ({"gamma": "0.5"}, {"draws": 3}, "draws is 3, and nothing has a range to draw from"),
        ({"gama": [0.5]}, {}, "'gama' cannot be varied, expected names among num_envs, "),
        ({"seed": [1, 2]}, {}, "seed cannot be varied like a setting: say how many seeds"),
        ({"gamma": "a,b"}, {}, "gamma has the value 'a', expected numbers, as in gamma=1,2 or gamma=1..2"),
        ({"gamma": "0.5,0.5"}, {}, "expected some, each once"),
        ({"gamma": []}, {}, "expected some, each once"),
        ({"gamma": "1..0"}, {"draws": 1}, "gamma has the range 1..0, expected the lower end first"),
        ({"gamma": [2]}, {}, "gamma is 2.0, expected a number of at least 0 and at most 1"),
        ({"hidden_dim": [1.5]}, {}, "hidden_dim is 1.5, expected an integer"),
        ({}, {"seeds": 0}, "seeds is 0, expected how many seeds"),
        ({}, {"seeds": True}, "seeds is True"),
        ({"gamma": "0..1"}, {"draws": 0}, "draws is 0, expected an integer of at least 1"),
    ],
)
def test_plans_that_are_none_are_refused(vary, options, message):
    with pytest.raises(ValueError, match=message):
        make_plan(CONFIG, vary, **{"seeds": 1} | options)


def made_up(plan, stage_of):
    """A result whose agents did as a function of their member says."""
    games = {m.name: {"final_stage": stage_of(m), "win_rate": 0.0, "return": -1.0} for m in plan}
    return SweepResult(plan, {}, None, None, games)


def test_the_table_has_the_best_setting_first_with_its_interval():
    plan = make_plan(CONFIG, {"gamma": [0.5, 0.9, 0.99]}, seeds=3)
    stage = {0.5: 1.0, 0.9: 3.0, 0.99: 2.0}
    text = made_up(plan, lambda m: stage[m.values["gamma"]] + 0.1 * (m.config.seed - 6)).table()
    lines = [line.split() for line in text.splitlines()[1:4]]
    assert [line[0] for line in lines] == ["0.9", "0.99", "0.5"]
    assert lines[0][1:5] == ["3", "3.00", "±", "0.25"]  # Student's t of 2 degrees, 4.303, × 0.1 / √3


def test_what_mattered_is_found():
    vary = {"gamma": "0.1..0.9", "ent_coef": [0.01, 0.1], "vf_coef": [0.5, 1.0]}
    plan = make_plan(CONFIG, vary, seeds=2, draws=30)
    noise = np.random.default_rng(0)
    result = made_up(plan, lambda m: 5 * m.values["gamma"] + 0.5 * (m.values["ent_coef"] > 0.05) + noise.normal(0, 0.1))
    rows = [line.split() for line in result.effects().splitlines()[1:]]
    assert [row[0] for row in rows] == ["gamma", "ent_coef", "vf_coef"]
    assert "to" in rows[0]
    entropy = rows[1]
    assert entropy[1:3] == ["0.1", "0.01"]
    assert 0.1 < float(entropy[3]) < 0.9


def test_curves_have_a_band_for_each_setting(trained):
    figure = trained.plot()
    assert [len(axes.collections) for axes in figure.axes] == [2, 2, 2, 2]
    trained.save()
    about = json.loads((trained.run_dir / "results.json").read_text())
    assert about["judged_by"] == "training"
    assert [agent["seed"] for agent in about["agents"]] == [5, 6, 7] * 2
    assert (trained.run_dir / about["agents"][0]["directory"] / "config.json").exists()
    assert "what mattered" in (trained.run_dir / "results.txt").read_text()
    assert (trained.run_dir / "curves.png").stat().st_size > 10_000


def test_a_measure_that_is_none_is_refused():
    with pytest.raises(ValueError, match="by is 'stage', expected one of final_stage, win_rate, return"):
        made_up(make_plan(CONFIG, {}, seeds=1), lambda _: 1.0).table(by="stage")


def test_seeds_alone_are_one_setting(tmp_path):
    result = sweep(tmp_path, seeds=2).run()
    assert len(result.tables()) == 1
    assert result.table().splitlines()[1].split()[0] == "2"
