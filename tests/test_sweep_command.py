"""The command `hackmatrix sweep`, and its short form, `hackmatrix train --seeds`."""

import json

import pytest

from hackmatrix_core.training.loading import load_policy
from tests.test_cli import TINY, run

SWEEP = [*TINY, "--total-timesteps", "64", "--vary", "learning-rate=1e-3,1e-2", "--vary", "kills=1..9", "--draws", "2"]


def test_sweep_evaluate_and_resume(tmp_path, capsys):
    directory = tmp_path / "sweep"
    code, out, err = run(["sweep", *SWEEP, "--run-dir", str(directory), "--evaluate-games", "4"], capsys)
    assert (code, err) == (0, "")
    assert f"4 agents in {directory}" in out
    assert "update 2/2 · 256 steps" in out
    assert "learning_rate  kills" in out
    assert "what mattered" in out
    about = json.loads((directory / "results.json").read_text())
    assert about["judged_by"] == "games"
    assert len({agent["values"]["kills"] for agent in about["agents"]}) == 2
    for agent in about["agents"]:
        objective = load_policy(directory / agent["directory"]).objective
        assert f"kills times {agent['values']['kills']:g}" in str(objective)

    code, _, err = run(["sweep", *SWEEP, "--run-dir", str(directory)], capsys)
    assert code == 1
    assert "already holds a sweep. Resume it, or choose another run directory" in err
    again = ["sweep", "--resume", "--run-dir", str(directory), "--evaluate-games", "0", "--by", "return"]
    code, out, err = run(again, capsys)
    assert (code, err) == (0, "")
    assert "best first, by return; from the last 10% of training" in out
    code, _, err = run([*again, "--gae-lambda", "0.5"], capsys)
    assert code == 1
    assert "has other values of config" in err


def test_train_with_seeds_is_a_sweep(tmp_path, capsys):
    """As many agents as above, so what that test compiles is enough."""
    directory = tmp_path / "seeds"
    options = ["--total-timesteps", "64", "--seed", "7", "--evaluate-games", "0"]
    code, out, err = run(["train", "--seeds", "4", *TINY, *options, "--run-dir", str(directory)], capsys)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (directory / "agents").iterdir()) == [f"seed={seed}" for seed in (10, 7, 8, 9)]
    assert "what mattered" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "--vary", "gamma"], "--vary gamma is not NAME=VALUES, as in learning_rate=3e-4,1e-3"),
        (["sweep", "--vary", "gamma=2"], "gamma is 2.0, expected a number of at least 0 and at most 1"),
        (["sweep", "--vary", "gamma=0..1"], "say how many settings to draw"),
        (["sweep", "--resume", "--run-dir", "DIR", "--seeds", "2"], "leave out --preset, --vary, --draws, --seeds"),
        (["train", "--seeds", "2", "--process-id", "1"], "--process-id is for several processes"),
        (["train", "--seeds", "2", "--rewind", "1"], "--rewind goes back in a run that is resumed"),
        (["sweep", "--resume"], "--resume needs --run-dir and takes the rest from there"),
        (["sweep", "--resume", "--run-dir", "DIR/none"], "no sweep can be resumed from there"),
        (["train", "--seeds", "2", "--wandb"], "--wandb is for a single agent"),
        (["train", "--seeds", "2", "--from", "pretrained"], "--from is for a single agent"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run([argument.replace("DIR", str(tmp_path)) for argument in arguments], capsys)
    assert code in (1, 2)
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))
