"""A run outlives what can happen to its directory, its display and its terminal."""

import json
import os
import resource
import shutil
import signal
import threading
import time
import uuid

import orbax.checkpoint as ocp
import pytest

from hackmatrix_core.training import lock
from hackmatrix_core.training.checkpoints import CheckpointError, load_params
from hackmatrix_core.training.history import MetricsFile, read_metrics
from tests.training.test_trainer import config_of, trainer

UPDATES = 4


def holder(**changes):
    now = {"since": time.time(), "seen": time.time()}
    me = {"id": uuid.uuid4().hex, "host": "here", "machine": lock._machine(), "process": os.getpid()}
    return me | now | changes


def wait_until(holds):
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.quick
def test_a_directory_is_held_by_one_process_at_a_time(tmp_path):
    with (
        lock.locked(tmp_path),
        pytest.raises(CheckpointError, match=rf"in use: process {os.getpid()} on \S+ has been training"),
    ):
        lock.check_free(tmp_path)
    lock.check_free(tmp_path)
    assert not (tmp_path / lock._NAME).exists()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("found", "is_free"),
    [
        (holder, False),
        (lambda: holder(process=2**22 + 1), True),  # killed
        (lambda: holder(seen=time.time() - 3600), True),  # its number is another process's by now
        (lambda: holder(machine="elsewhere", process=2**22 + 1), False),
        (lambda: holder(machine="elsewhere", seen=time.time() - 3600), True),
        ("not JSON", True),
        ([1], True),
        ({"host": "elsewhere"}, True),
        (lambda: holder(machine="elsewhere", since=1e300), True),
        (lambda: holder(machine="elsewhere", since="then"), True),
        (lambda: holder(machine="elsewhere", seen=float("nan")), True),
        (lambda: holder(process=10**40), True),
        (lambda: holder(process=-1), True),
        (lambda: holder(machine="elsewhere", host="\033[2J\033]0;owned\a"), True),
        ("[" * 100_000, True),
    ],
)
def test_a_lock_that_nobody_holds_is_recognised(tmp_path, found, is_free):
    found = found() if callable(found) else found  # now: at collection it would be too long ago
    (tmp_path / lock._NAME).write_text(found if isinstance(found, str) else json.dumps(found))
    if is_free:
        with lock.locked(tmp_path):
            pass
        return
    with pytest.raises(CheckpointError, match="Stop it first, or choose another run directory"), lock.locked(tmp_path):
        pass


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path):
    refused = []

    def come_too(progress):
        if progress.update == 1:
            for resume in (False, True):
                with pytest.raises(CheckpointError, match="is in use"):
                    trainer(config_of(UPDATES), tmp_path, resume=resume)
                refused.append(resume)

    trainer(config_of(UPDATES), tmp_path, [come_too]).run()
    assert refused == [False, True]
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == UPDATES


@pytest.mark.parametrize("name", ["curves.png", "metrics.jsonl", "config.json"])
def test_a_side_file_that_cannot_be_written_is_told_once_and_ends_nothing(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.warns(RuntimeWarning, match=f"{name} cannot be written .* Training goes on without it") as told:
        result = trainer(config_of(UPDATES), tmp_path, save_every=0.0).run()
    assert len(told) == 1
    assert len(result.history) == UPDATES
    assert load_params(tmp_path)


@pytest.mark.quick
@pytest.mark.parametrize(
    "line", [b"5\n", b'{"steps": 5}\n', b"\xff\xfe\x80\n", b'{"update": "x", "steps": []}\n', b"[" * 9999 + b"\n"]
)
def test_lines_without_metrics_are_set_aside(tmp_path, line):
    path, good = tmp_path / "metrics.jsonl", {"update": 1, "steps": 16}
    path.write_bytes(json.dumps(good).encode() + b"\n" + line)
    assert read_metrics(path) == [good]
    with pytest.warns(RuntimeWarning, match=r"has 1 line without metrics.* kept as metrics\.jsonl\.damaged"):
        file = MetricsFile(path, last_update=1)
    assert line in (tmp_path / "metrics.jsonl.damaged").read_bytes()
    file.history.append(good | {"update": 2})
    file.write()
    assert read_metrics(path) == [good, good | {"update": 2}]


@pytest.mark.quick
def test_a_metrics_file_with_numbers_that_are_none_goes_on(tmp_path):
    path, lines = tmp_path / "metrics.jsonl", '{"update": 1, "steps": 16, "value_loss": NaN, "entropy": -Infinity}\n'
    path.write_text(
        lines + '{"update": 1, "steps": 16, "value_loss": 1e999}\n' + f'{{"update": 1, "steps": {10**400}}}\n'
    )
    with pytest.warns(RuntimeWarning, match="has 2 lines without metrics"):
        file = MetricsFile(path, last_update=1)
    file.history.append({"update": 2, "steps": 32})
    file.write()
    first = {"update": 1, "steps": 16, "value_loss": None, "entropy": None}
    assert read_metrics(path) == [first, {"update": 2, "steps": 32}]


def test_a_callback_that_fails_is_told_and_left_out(tmp_path):
    calls = []

    def closed_output(progress):
        calls.append(progress.phase)
        if progress.update == 1:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.warns(RuntimeWarning, match="closed_output failed .*Broken pipe.* not called again") as told:
        result = trainer(config_of(UPDATES), tmp_path, [closed_output]).run()
    assert (len(told), calls) == (1, ["compiling", "training", "training"])
    assert int(result.runner.update) == UPDATES


def test_what_does_end_a_run_is_preceded_by_a_save(tmp_path):
    def interrupt(progress):
        if progress.update == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(config_of(UPDATES), tmp_path, [interrupt]).run()
    told = []
    trainer(config_of(UPDATES), tmp_path, [told.append], resume=True).run()
    assert told[0].update == 2


def test_a_closed_terminal_and_a_second_interrupt_while_saving_lose_nothing(tmp_path, monkeypatch):
    first = trainer(config_of(1000), tmp_path)
    save, storage = first._storage.save, first._storage

    def interrupted_save(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        save(*arguments)

    monkeypatch.setattr(storage, "save", interrupted_save)
    first._callbacks.insert(0, lambda progress: progress.update == 1 and os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would have it ignored
    result = first.run()
    signal.signal(signal.SIGHUP, before)
    assert result.stopped_by == "SIGHUP"
    assert storage.checkpoints.updates == [int(result.runner.update)]


def test_a_directory_that_disappears_is_replaced_by_a_local_copy_until_it_is_back(tmp_path, monkeypatch):
    """As a mounted Drive does: first nothing is there, then a file in its place, then the folder again."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_dir, away, copies = tmp_path / "drive" / "run", tmp_path / "away", []

    def harm(progress):
        if progress.update == 1:
            shutil.move(run_dir.parent, away)
        if progress.update == 2:
            run_dir.parent.touch()
        if progress.update == 3:
            copies.extend(tmp_path.glob("hackmatrix-*/run"))
            run_dir.parent.unlink()
            shutil.move(away, run_dir.parent)

    with pytest.warns(RuntimeWarning) as told:
        result = trainer(config_of(UPDATES), run_dir, [harm], save_every=0.0).run()
    sentences = [str(warning.message) for warning in told]
    assert sum("Training goes on, and the run is saved in" in sentence for sentence in sentences) == 1
    assert sum("can be written to again" in sentence for sentence in sentences) == 1
    assert len(sentences) == 3  # and metrics.jsonl, once
    assert result.saved_in == run_dir
    assert len(read_metrics(run_dir / "metrics.jsonl")) == UPDATES
    assert sorted(int(folder.name) for folder in (run_dir / "checkpoints").iterdir())[-1] == UPDATES
    (copy,) = copies
    assert load_params(copy)
    assert len(read_metrics(copy / "metrics.jsonl")) == 2


def test_a_run_says_where_it_is_if_its_directory_stays_away(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_dir = tmp_path / "drive" / "run"

    save = ocp.CheckpointManager.save

    def full(manager, *arguments, **options):
        if run_dir in manager.directory.parents:
            raise OSError(28, "No space left on device")
        return save(manager, *arguments, **options)

    def harm(progress):
        if progress.phase == "training" and progress.update == 1:
            monkeypatch.setattr(ocp.CheckpointManager, "save", full)

    first = trainer(config_of(2), run_dir, [harm])
    with pytest.warns(RuntimeWarning, match="No space left on device.*Training goes on, and the run is saved in"):
        result = first.run()
    assert result.saved_in.name == "run"
    assert result.saved_in != run_dir
    assert trainer(config_of(2), result.saved_in, resume=True).run().history == result.history


def test_fewer_steps_than_done_are_refused_before_anything_is_written(tmp_path):
    trainer(config_of(UPDATES), tmp_path).run()
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(
        CheckpointError, match=r"has done 64 steps, more than total_timesteps = 32\. Set total_timesteps"
    ):
        trainer(config_of(2), tmp_path, resume=True).run()
    assert (tmp_path / "config.json").read_text() == before


def test_a_line_that_was_cut_off_is_written_anew(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    records = [{"update": number, "steps": number} for number in range(1, 5)]
    for record in records[:2]:
        file.history.append(record)
        file.write()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)  # as if the disk filled up in the middle of a line
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.path.stat().st_size + 9, limits[1]))
    try:
        file.history.append(records[2])
        with pytest.raises(OSError, match="File too large"):
            file.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not file.path.read_text().endswith("\n")
    file.history.append(records[3])
    file.write()
    assert read_metrics(file.path) == records


def test_a_run_that_was_taken_over_leaves_the_lock_alone(tmp_path):
    with lock.locked(tmp_path):
        other = holder()
        (tmp_path / lock._NAME).write_text(json.dumps(other))
    assert json.loads((tmp_path / lock._NAME).read_text()) == other


def test_a_run_that_was_taken_over_ends_and_is_saved_elsewhere(tmp_path):
    run_dir, other = tmp_path / "run", holder(machine="elsewhere")

    def take_over(progress):
        if progress.update == 2 and progress.phase == "training":
            (run_dir / lock._NAME).write_text(json.dumps(other))

    run = trainer(config_of(UPDATES), run_dir, [take_over], save_every=0.0)
    with pytest.warns(RuntimeWarning, match="another run has taken over .*/run. This one ends, and is saved in"):
        result = run.run()
    assert (result.stopped_by, len(result.history)) == ("another run", 2)
    assert result.saved_in != run_dir
    assert json.loads((run_dir / lock._NAME).read_text()) == other
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == ["1"]
    assert len(read_metrics(run_dir / "metrics.jsonl")) == 2
    assert trainer(config_of(2), result.saved_in, resume=True).run().history == result.history


def test_what_others_have_done_between_making_a_trainer_and_running_it_counts(tmp_path):
    early, fresh = (trainer(config_of(UPDATES), tmp_path, resume=resume) for resume in (True, False))
    trainer(config_of(2), tmp_path).run()
    with pytest.raises(CheckpointError, match="already holds a run"):
        fresh.run()
    assert [record["update"] for record in early.run().history] == [1, 2, 3, 4]
    late = trainer(config_of(1), tmp_path / "late")
    shutil.rmtree(tmp_path / "late")
    assert late.run().saved_in == tmp_path / "late"
    load_params(tmp_path / "late")


def test_a_checkpoint_that_is_not_newer_than_another_runs_is_kept_elsewhere(tmp_path):
    def save_there(progress):
        if progress.update == 1:
            last = f"checkpoints/{UPDATES}"
            shutil.copytree(tmp_path / "other" / last, tmp_path / "run" / last)

    trainer(config_of(UPDATES), tmp_path / "other").run()
    run = trainer(config_of(2), tmp_path / "run", [save_there])
    with pytest.warns(RuntimeWarning, match="has a checkpoint of update 4, and this run is at 2: another run has"):
        result = run.run()
    assert result.saved_in != tmp_path / "run"
    assert (result.saved_in / "curves.png").stat().st_size > 0
    load_params(result.saved_in)


def test_a_mount_that_has_died_is_as_good_as_gone(tmp_path, monkeypatch):
    stat, is_dead = os.stat, []

    def dead(path, *arguments, **options):
        if is_dead and os.fspath(path) == str(tmp_path / "run"):
            raise OSError(107, "Transport endpoint is not connected")
        return stat(path, *arguments, **options)

    run = trainer(config_of(2), tmp_path / "run", [lambda progress: is_dead.append(progress.update == 1)])
    monkeypatch.setattr(os, "stat", dead)
    with pytest.warns(RuntimeWarning, match="/run is gone. Training goes on"):
        result = run.run()
    monkeypatch.undo()
    assert result.saved_in != tmp_path / "run"
    load_params(result.saved_in)


@pytest.mark.quick
def test_a_process_of_another_user_holds_the_directory_for_as_long_as_it_says_so(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refused)
    (tmp_path / lock._NAME).write_text(json.dumps(holder(seen=time.time() - 3600)))
    lock.check_free(tmp_path)
    (tmp_path / lock._NAME).write_text(json.dumps(holder()))
    with pytest.raises(CheckpointError, match="is in use"):
        lock.check_free(tmp_path)


@pytest.mark.quick
@pytest.mark.parametrize(
    "changes",
    [
        {"minutes": float("nan")},
        {"minutes": "3"},
        {"minutes": 0},
        {"minutes": True},
        {"minutes": float("inf")},
        {"minutes": 1e306, "fit": True},
        {"minutes": 10**5000},
        {"save_every": -1},
        {"save_every": -(10**5000)},
    ],
)
def test_times_are_numbers(tmp_path, changes):
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"{name} is .*, expected a number"):
        trainer(config_of(2), tmp_path, **changes)


@pytest.mark.quick
@pytest.mark.parametrize("name", [os.fsdecode(b"run-\xff"), "a\0b", "a\\b", "gs:"])
def test_a_name_that_nothing_can_be_saved_under_is_refused_at_the_start(tmp_path, name):
    with pytest.raises(CheckpointError, match="Choose another run directory"):
        trainer(config_of(2), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_removed_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    with lock.locked(tmp_path):
        (tmp_path / lock._NAME).unlink()
        wait_until((tmp_path / lock._NAME).exists)


def test_of_two_that_begin_at_once_one_holds_the_directory(tmp_path):
    """Both find it free, and the second writes after the first."""
    checked, other = lock.check_free, holder(process=os.getppid())

    def check(run_dir):
        checked(run_dir)
        threading.Timer(lock._SETTLING / 2, lambda: (run_dir / lock._NAME).write_text(json.dumps(other))).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "check_free", check)
        with pytest.raises(CheckpointError, match=f"in use: process {os.getppid()}"), lock.locked(tmp_path):
            pass
