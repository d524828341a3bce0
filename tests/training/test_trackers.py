"""Experiment trackers get what the metrics file gets."""

import json
import shutil
import struct
import sys

import pytest

from hackmatrix_core.cli import main
from hackmatrix_core.training.trackers import TensorBoard, WeightsAndBiases
from tests.training.test_trainer import config_of, trainer


def run_resumed_from_an_earlier_checkpoint(run_dir, make):
    """A run of five updates; after the fourth it is killed, in a way, and goes on from its second."""
    # Episodes take two steps, so that half of the updates end none. What is done again is annealed otherwise.
    short, long = (config_of(updates, num_steps=1, anneal_to=0.0) for updates in (4, 5))
    trainer(short, run_dir, [make()], save_every=0.0).run()
    for update in (3, 4):
        shutil.rmtree(run_dir / "checkpoints" / str(update))
    result = trainer(long, run_dir, [make()], resume=True).run()
    trainer(long, run_dir, [make()], resume=True).run()  # it is complete: nothing to do
    return [{name: value for name, value in record.items() if value is not None} for record in result.history]


def test_tensorboard_agrees_with_the_run_after_a_resume(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    records = run_resumed_from_an_earlier_checkpoint(tmp_path, lambda: TensorBoard(tmp_path))
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set().union(*records)
    for name in events.Tags()["scalars"]:
        points = [(event.step, event.value) for event in events.Scalars(name)]
        assert points == [(record["steps"], pytest.approx(record[name])) for record in records if name in record]


def records_in(file):
    """What a file of Weights & Biases holds: a log of LevelDB with Protocol Buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, message = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if (left := 2**15 - place % 2**15) < 7:
            place += left
            continue
        length, part = struct.unpack_from("<HB", content, place + 4)
        message += content[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # whole, or the last one
            yield Record.FromString(message)
            message = b""


def metrics_in(history):
    items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in history.item}
    return history.step.num, {name: value for name, value in items.items() if not name.startswith("_")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb's own imports
def test_weights_and_biases_offline_agrees_with_the_run_after_a_resume(tmp_path, monkeypatch):
    """The last part holds all of the run. What the environment says goes before what is chosen here."""
    wandb = pytest.importorskip("wandb")
    for name, value in {
        "MODE": "offline",
        "SILENT": "true",
        "PROJECT": "mine",
        "NAME": "first",
        "ENTITY": "us",
    }.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    seen = []

    def look(progress):
        if progress.phase == "compiling":
            run = wandb.run
            seen.append((run.project, run.name, run.entity, run.id, run.config["num_envs"]))

    def make():
        tracker = WeightsAndBiases(tmp_path, config_of(5))
        return lambda progress: (tracker(progress), look(progress))

    expected = run_resumed_from_an_earlier_checkpoint(tmp_path, make)
    assert seen == 2 * [("mine", "first", "us", (tmp_path / "wandb-id").read_text(), config_of(5).num_envs)]
    *_, last = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime)
    records = list(records_in(last))
    assert [metrics_in(record.history) for record in records if record.history.item] == [
        (record["update"], record) for record in expected
    ]
    assert "steps" in {record.metric.step_metric for record in records}


@pytest.mark.parametrize(("option", "package"), [("--wandb", "wandb"), ("--tensorboard", "tensorboardX")])
def test_a_missing_package_is_reported_in_one_sentence(option, package, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["train", "--run-dir", str(tmp_path), option]) == 1
    assert f"{option} needs the package {package}: pip install {package}" in capsys.readouterr().err
