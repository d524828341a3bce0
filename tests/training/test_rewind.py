"""Any checkpoint of a run can be chosen: to look at, to start from, and to go on from."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from hackmatrix_core.training.checkpoints import CheckpointError, load_params
from hackmatrix_core.training.history import read_metrics
from hackmatrix_core.training.loading import checkpoint_of, load_policy
from hackmatrix_core.training.trackers import TensorBoard
from tests.training.test_trainer import bits, config_of, trainer

UPDATES = 6


def run(run_dir, callbacks=(), updates=UPDATES, **options):
    config = config_of(updates, anneal_to=0.1)  # what is annealed tells whether a run is as long as it was
    return trainer(config, run_dir, callbacks, save_every=0.0, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is done, in its directory, and its result."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    return run_dir, run(run_dir, [TensorBoard(run_dir)]).run()


@pytest.fixture
def first(finished, tmp_path):
    """The result of a finished run, of which `tmp_path` has a copy."""
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    return finished[1]


def updates_in(run_dir):
    return sorted(int(path.name) for path in (run_dir / "checkpoints").iterdir())


def without_speed(history):
    return [{name: value for name, value in record.items() if name != "steps_per_second"} for record in history]


def test_a_run_goes_on_from_an_earlier_checkpoint_as_it_did_the_first_time(tmp_path, first):
    present = updates_in(tmp_path)
    early = present[-3]
    (tmp_path / "wandb-id").write_text("first")
    (tmp_path / "evaluation.json").write_text("of the last")
    (tmp_path / f"evaluation-{early}.json").write_text("of an early one")
    told = []
    again = run(tmp_path, [told.append], resume=True, rewind=early).run()
    assert told[0].update == early
    assert bits(again.runner) == bits(first.runner)
    assert without_speed(again.history) == without_speed(first.history)
    assert without_speed(read_metrics(tmp_path / "metrics.jsonl")) == without_speed(first.history)
    assert set(updates_in(tmp_path)) >= {UPDATES - 2, UPDATES - 1, UPDATES}
    # The tracker takes no update twice, so the run has another one there.
    assert not (tmp_path / "wandb-id").exists()
    assert not (tmp_path / "evaluation.json").exists()
    assert (tmp_path / f"evaluation-{early}.json").read_text() == "of an early one"

    aside = tmp_path / f"after-{early}"
    assert updates_in(aside) == [update for update in present if update > early]
    assert read_metrics(aside / "metrics.jsonl") == first.history
    assert (aside / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (aside / "wandb-id").read_text() == "first"
    assert (aside / "evaluation.json").read_text() == "of the last"
    whole = run(aside, resume=True).run()  # it is a run of its own
    assert bits(whole.runner) == bits(first.runner)
    assert whole.history == first.history


def test_nothing_that_was_set_aside_is_ever_overwritten(tmp_path, first):
    for _ in range(2):
        goes_on = run(tmp_path, resume=True, rewind=UPDATES - 1)
        goes_on.run()
        goes_on.run()  # the same trainer goes on where it was, not back again
    kept = sorted(path for path in tmp_path.iterdir() if path.name.startswith("after-"))
    assert [path.name for path in kept] == [f"after-{UPDATES - 1}{again}" for again in ("", "-again")]
    assert [updates_in(path) for path in kept] == 2 * [[UPDATES]]
    assert read_metrics(kept[0] / "metrics.jsonl") == first.history


def test_going_back_to_the_newest_is_resuming(tmp_path, first):
    again = run(tmp_path, resume=True, rewind=UPDATES).run()
    assert again.history == first.history
    assert not list(tmp_path.glob("after-*"))


def test_a_refused_rewind_leaves_everything_as_it_was(tmp_path, first):

    def files():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    with pytest.raises(CheckpointError, match=r"checkpoints has no checkpoint 1000\. Choose one of .*5, 6$"):
        run(tmp_path, resume=True, rewind=1000)
    with pytest.raises(ValueError, match=r"rewind is 4, and resume is False\. Set it to True to go on with a run"):
        run(tmp_path, rewind=4)
    other = trainer(dataclasses.replace(config_of(9), gamma=0.5), tmp_path, resume=True, rewind=5)
    with pytest.raises(CheckpointError, match=r"different config: gamma is 0\.5, stored is 0\.99"):
        other.run()
    with pytest.raises(CheckpointError, match=r"has done 80 steps, more than total_timesteps = 64"):
        run(tmp_path, updates=4, resume=True, rewind=5).run()
    refused = []

    def come_too(progress):
        if progress.phase == "compiling":
            with pytest.raises(CheckpointError, match="is in use"):
                run(tmp_path, resume=True, rewind=5)
            refused.append(files().keys() - before.keys())

    late = run(tmp_path, resume=True, rewind=5)
    run(tmp_path, [come_too], updates=UPDATES + 1, resume=True).run()
    assert [[path.name for path in new] for new in refused] == [["lock.json"]]
    (tmp_path / "checkpoints" / "5").rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="has no checkpoint 5"):  # it was there when `late` was made
        late.run()


def test_tensorboard_shows_the_run_as_it_is_after_a_rewind(tmp_path, first):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    longer = run(tmp_path, [TensorBoard(tmp_path)], updates=UPDATES - 1, resume=True, rewind=UPDATES - 2).run()
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("value_loss")]
    assert points == [(record["steps"], pytest.approx(record["value_loss"])) for record in longer.history]


def test_a_checkpoint_is_chosen_by_its_number_or_as_the_best_or_the_last(tmp_path, first):
    present = updates_in(tmp_path)
    best = UPDATES  # no game is won, and of equal ones the last counts
    for given, update in {"best": best, "last": UPDATES, present[0]: present[0], np.int64(5): 5, "5": 5}.items():
        for path in (tmp_path, tmp_path / "checkpoints", str(tmp_path)):
            assert load_params(checkpoint_of(path, given))[1]["update"] == update
    with pytest.raises(CheckpointError, match=r"checkpoints has no checkpoint 99\. Choose one of .*4, 5, 6$"):
        load_policy(tmp_path, checkpoint=99)
    for given in ("bset", -1, 2.5, None):
        with pytest.raises(CheckpointError, match=f"has no checkpoint {given}. Choose one of .*4, 5, 6$"):
            load_policy(tmp_path, checkpoint=given)
    with pytest.raises(CheckpointError, match="5 is one checkpoint of its run: there is no checkpoint 6 to choose"):
        load_policy(tmp_path / "checkpoints" / "5", checkpoint=6)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["pretrained", "pretrained-points", "random", "greedy"])
def test_what_comes_with_the_package_has_no_checkpoints(name):
    with pytest.raises(CheckpointError, match=f"^{name} comes with the package: there is no checkpoint 'best' to"):
        load_policy(name, checkpoint="best")
    load_policy(name, checkpoint="last")


@pytest.mark.quick
def test_a_best_checkpoint_of_no_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"run does not exist\. Give the directory of a training run"):
        load_policy(tmp_path / "run", checkpoint="best")
    with pytest.raises(CheckpointError, match=r"holds no checkpoint\. Give the directory of a training run that has"):
        load_policy(tmp_path, checkpoint="best")


def test_where_no_episode_ended_there_is_no_best_checkpoint(tmp_path):
    config = config_of(1, num_steps=1)  # episodes of this environment take two steps
    trainer(config, tmp_path).run()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["episodes"] == 0
    with pytest.raises(CheckpointError, match=r"no episode ended in the updates that were saved\. Choose one of 1$"):
        load_policy(tmp_path, checkpoint="best")
