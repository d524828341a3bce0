"""Experiment trackers get what the metrics file gets."""

import sys

import pytest

from hackmatrix_core.cli import main
from hackmatrix_core.training.history import read_metrics
from hackmatrix_core.training.trackers import TensorBoard, WeightsAndBiases
from tests.training.test_trainer import config_of, trainer


def test_tensorboard_has_every_metric_of_every_update(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer(config_of(2), tmp_path, [TensorBoard(tmp_path)]).run()
    trainer(config_of(3), tmp_path, [TensorBoard(tmp_path)], resume=True).run()
    records = read_metrics(tmp_path / "metrics.jsonl")
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("value_loss")]
    assert points == [(record["steps"], pytest.approx(record["value_loss"])) for record in records]
    assert set(events.Tags()["scalars"]) == set(records[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb's own imports
def test_weights_and_biases_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = config_of(2)
    tracker = WeightsAndBiases(tmp_path, config)
    trainer(config, tmp_path, [tracker]).run()
    (written,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    content = written.read_bytes()
    last = read_metrics(tmp_path / "metrics.jsonl")[-1]
    assert all(name.encode() in content for name in last)
    assert str(last["value_loss"])[:8].encode() in content
    assert tracker._run.config["num_envs"] == config.num_envs
    assert tracker._run.id == (tmp_path / "wandb-id").read_text()


@pytest.mark.parametrize(("option", "package"), [("--wandb", "wandb"), ("--tensorboard", "tensorboardX")])
def test_a_missing_package_is_reported_in_one_sentence(option, package, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["train", "--run-dir", str(tmp_path), option]) == 1
    assert f"{option} needs the package {package}: pip install {package}" in capsys.readouterr().err
