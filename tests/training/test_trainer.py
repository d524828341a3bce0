"""The trainer: a run's files, stop, time limit, resume."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core import interrupts
from hackmatrix_core.errors import UserError
from hackmatrix_core.training import trainer as trainer_module
from hackmatrix_core.training.checkpoints import CheckpointError, load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.history import read_metrics
from hackmatrix_core.training.progress import status_line
from hackmatrix_core.training.trainer import Trainer
from tests.training import probe_environments as probes

SIZES = {"num_envs": 4, "num_steps": 4, "num_minibatches": 2, "update_epochs": 2, "hidden_dim": 8, "num_layers": 1}


def config_of(updates: int, **changes) -> TrainConfig:
    settings = SIZES | changes
    return TrainConfig(**settings, total_timesteps=updates * settings["num_envs"] * settings["num_steps"])


def trainer(config, run_dir, callbacks=(), **options):
    return Trainer(config, run_dir, probes.TwoStepCredit(), callbacks, **options)


def bits(runner):
    plain = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(runner)
    ]
    return [np.asarray(x).tobytes() for x in plain]


def test_a_run_leaves_its_files_and_tells_its_phases(tmp_path):
    told = []
    result = trainer(config_of(3), tmp_path / "run", [told.append]).run()
    assert result.stopped_by is None
    assert int(result.runner.update) == 3
    assert [(p.phase, p.update) for p in told] == [
        ("compiling", 0), ("training", 0), ("training", 1), ("training", 2), ("training", 3), ("done", 3),
    ]  # fmt: skip
    assert json.loads((tmp_path / "run/config.json").read_text()) == config_of(3).to_dict()
    assert (tmp_path / "run/curves.png").read_bytes().startswith(b"\x89PNG")
    records = read_metrics(tmp_path / "run/metrics.jsonl")
    assert records == result.history
    assert [record["steps"] for record in records] == [16, 32, 48]
    expected = {
        "episode_return", "episode_length", "final_stage", "win_rate", "episodes", "entropy", "relative_entropy",
        "approx_kl", "clip_fraction", "explained_variance", "policy_loss", "value_loss", "uniform_divergence",
        "share_moves", "share_siphon", "share_programs", "reward/only", "steps_per_second", "update", "steps",
    }  # fmt: skip
    assert set(records[0]) == expected
    assert told[-1].latest("episode_length") == 2.0


def test_five_and_five_updates_equal_ten(tmp_path):
    straight = trainer(config_of(10), tmp_path / "straight").run()
    trainer(config_of(5), tmp_path / "halves").run()
    halves = trainer(config_of(10), tmp_path / "halves", resume=True).run()
    assert bits(straight.runner) == bits(halves.runner)

    def without_speed(history):
        return [{name: value for name, value in record.items() if name != "steps_per_second"} for record in history]

    assert without_speed(straight.history) == without_speed(halves.history)
    assert without_speed(read_metrics(tmp_path / "halves/metrics.jsonl")) == without_speed(straight.history)


def test_resume_of_a_complete_run_does_nothing_and_of_no_run_starts_one(tmp_path):
    first = trainer(config_of(2), tmp_path, resume=True).run()
    phases = []
    again = trainer(config_of(2), tmp_path, [lambda progress: phases.append(progress.phase)], resume=True).run()
    assert bits(first.runner) == bits(again.runner)
    assert phases == ["done"]  # nothing is compiled
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2


def test_ctrl_c_calls_its_handler_from_the_first_update_on(tmp_path):
    told = {}
    trainer(config_of(2), tmp_path, [lambda now: told.update({now.update: interrupts._handled.is_set()})]).run()
    assert told == {0: False, 1: True, 2: True}
    assert not interrupts._handled.is_set()


def test_stop_ends_after_the_update_in_progress_and_saves(tmp_path):
    def stop_at_two(progress):
        if progress.update == 2:
            progress.stop()

    result = trainer(config_of(10), tmp_path, [stop_at_two]).run()
    assert (result.stopped_by, int(result.runner.update)) == ("request", 2)
    told = []
    trainer(config_of(10), tmp_path, [told.append], resume=True).run()
    assert told[0].update == 2
    assert told[-1].update == 10


def test_a_run_stopped_before_its_first_update_says_that_nothing_is_trained(tmp_path):
    told = []

    def stop_while_compiling(progress):
        told.append(status_line(progress))
        if progress.phase == "compiling" and len(told) == 1:
            progress.stop()

    run = trainer(config_of(2), tmp_path, [stop_while_compiling], resume=True)
    result = run.run()
    assert (result.stopped_by, int(result.runner.update), result.history) == ("request", 0, [])
    assert told[-1].endswith("stopped before the first update: nothing is trained yet")
    with pytest.raises(CheckpointError, match=r"stopped before its first update: nothing is trained yet\. Resume it"):
        load_params(tmp_path)
    assert run.run().stopped_by is None
    assert load_params(tmp_path)[1]["update"] == 2


class Exploding(probes.TwoStepCredit):
    """Its rewards are too large for float32 to square."""

    def reward(self, state, action):
        return jnp.float32(3e38)


def test_a_network_that_is_no_longer_finite_ends_the_run_and_overwrites_nothing(tmp_path):
    trainer(config_of(2), tmp_path).run()
    run = Trainer(config_of(9), tmp_path, Exploding(), (), resume=True)
    with pytest.raises(UserError, match=r"after 3 updates the network is no longer finite\. It is not saved"):
        run.run()
    assert load_params(tmp_path)[1]["update"] == 2
    assert trainer(config_of(3), tmp_path, resume=True).run().stopped_by is None


def test_a_trainer_goes_on_where_it_was_stopped(tmp_path):
    stops = []

    def stop_once(progress):
        if progress.update == 1 and not stops:
            stops.append(progress.stop())

    run = trainer(config_of(4), tmp_path, [stop_once])
    assert (run.run().stopped_by, run.run().stopped_by) == ("request", None)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_and_save(tmp_path, number):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def send(progress):
        if progress.phase == "training" and progress.update == 1:
            os.kill(os.getpid(), number)

    result = trainer(config_of(1000), tmp_path, [send]).run()
    assert result.stopped_by == number.name
    assert int(result.runner.update) < 1000
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_time_limit(tmp_path):
    result = trainer(config_of(100_000), tmp_path, minutes=1e-6).run()
    # The first update warms up: the time counts from its end, and it tells no speed.
    assert (result.stopped_by, int(result.runner.update)) == ("time", 2)
    assert [record["steps_per_second"] is None for record in result.history] == [True, False]


@pytest.fixture
def shares(monkeypatch):
    """The share of the run that was done at each update, as the update was told; an update takes a second, then two."""
    told, update, now = [], DeviceGroup.update, [0.0]

    class Listening(NamedTuple):
        lowered: Any

        def compile(self):
            compiled = self.lowered.compile()

            def timed(runner, done, hyperparameters):
                told.append(float(done))
                now[0] += 1.0 if len(told) <= 21 else 2.0
                return compiled(runner, done, hyperparameters)

            return timed

    monkeypatch.setattr(DeviceGroup, "update", lambda group, template: Listening(update(group, template)))
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return told


def test_a_run_fits_into_its_minutes(tmp_path, shares):
    """Its length follows from the speed, what is annealed from the clock, and what is saved has the length."""
    told = []
    result = trainer(config_of(10**6), tmp_path, [told.append], minutes=1, fit=True).run()
    assert result.stopped_by is None
    # The first warms up, twenty take a second each, and twenty of two seconds fill the minute.
    assert int(result.runner.update) == 41
    assert told[-1].seconds == 60
    assert [progress.total_updates for progress in told if progress.update in (2, 21, 41)] == [61, 61, 41, 41]
    np.testing.assert_allclose(shares[2:21], np.arange(2, 21) / 61, rtol=1e-6)
    assert shares[:2] == pytest.approx([0, 0], abs=1e-5)
    assert shares == sorted(shares)
    assert shares[-1] > 0.95
    whole = config_of(41).to_dict()
    assert json.loads((tmp_path / "config.json").read_text()) == whole
    assert load_params(tmp_path)[1]["config"] == whole
    assert int(trainer(config_of(41), tmp_path, resume=True).run().runner.update) == 41


def test_a_run_that_fits_goes_on_for_as_long_again(tmp_path, shares):
    trainer(config_of(1000), tmp_path, minutes=0.25, fit=True).run()
    shares.clear()
    again = trainer(config_of(16), tmp_path, resume=True, minutes=0.25, fit=True).run()
    assert again.stopped_by is None
    assert int(again.runner.update) == 32
    np.testing.assert_allclose(shares[2:], np.arange(18, 32) / 32, rtol=1e-6)  # back to where the longer run was then


def test_a_run_needs_minutes_to_fit_into(tmp_path):
    with pytest.raises(ValueError, match="Say into how many minutes"):
        trainer(config_of(1), tmp_path, fit=True)


def test_a_used_directory_is_refused_without_resume(tmp_path):
    trainer(config_of(1), tmp_path).run()
    with pytest.raises(CheckpointError, match=r"already holds a run\. Resume it, or choose another run directory"):
        trainer(config_of(1), tmp_path)


def test_resume_with_another_config_names_the_fields(tmp_path):
    trainer(config_of(2), tmp_path).run()
    other = dataclasses.replace(config_of(2), gamma=0.5, hidden_dim=16)
    with pytest.raises(
        CheckpointError, match=r"different config: gamma is 0\.5, stored is 0\.99, hidden_dim is 16, stored is 8\."
    ):
        trainer(other, tmp_path, resume=True).run()


def test_resume_in_another_environment_names_what_differs(tmp_path):
    trainer(config_of(2), tmp_path).run()
    with pytest.raises(
        CheckpointError,
        match=r"a different version or environment: \.obs is float32\[4, 2\], stored is float32\[4, 3\]",
    ):
        Trainer(config_of(2), tmp_path, probes.CuedValue(), (), resume=True).run()


def test_metrics_after_the_checkpoint_are_dropped_on_resume(tmp_path):
    trainer(config_of(2), tmp_path).run()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"update": 3, "steps": 48}\n{"update": 4, "st')
    result = trainer(config_of(3), tmp_path, resume=True).run()
    assert [record["update"] for record in read_metrics(path)] == [1, 2, 3]
    assert result.history[-1]["episode_return"] is not None


def run_until_killed(run_dir, told):
    """Train on and on, saving after each update, and report each."""
    trainer(config_of(10**6), run_dir, [lambda p: told.send((p.phase, p.update))], resume=True, save_every=0.0).run()


@pytest.mark.parametrize(("kills", "least"), [(5, 0), pytest.param(20, 10, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_resumes_from_a_whole_checkpoint_each_time(tmp_path, kills, least):
    """At most one save interval, here one update, is lost, whenever the kill comes."""
    server = multiprocessing.get_context("forkserver")  # imports once; every run still has a JAX of its own
    server.set_forkserver_preload([__name__])
    moments = np.random.default_rng(0).uniform(0.0, 0.9, kills)
    reached = 0
    for moment in moments:
        told, telling = server.Pipe(duplex=False)
        run = server.Process(target=run_until_killed, args=(tmp_path, telling))
        run.start()
        telling.close()
        phase, resumed = told.recv()
        assert phase == "compiling"
        assert resumed >= reached - 1
        assert told.recv() == ("training", resumed)
        reached = resumed
        time.sleep(moment)
        run.kill()
        run.join()
        with contextlib.suppress(EOFError):
            while True:
                reached = told.recv()[1]
        told.close()
    assert reached > least  # the kills fell among updates and saves


def test_a_run_whose_last_update_ended_no_episode_is_saved(tmp_path):
    config = config_of(1, num_steps=1)  # episodes of this environment take two steps
    result = trainer(config, tmp_path).run()
    assert result.history[-1]["episode_return"] is None
    assert "quality" not in load_params(tmp_path)[1]
