"""The command line: what it does, what it says, and its exit codes."""

import argparse
import json
import os
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from hackmatrix_core.cli import _lack, evaluate, main, make_parser, train
from hackmatrix_core.training.config import TrainConfig

TINY = ["--num-envs", "8", "--num-steps", "4", "--num-minibatches", "2", "--update-epochs", "1", "--hidden-dim", "8"]


def run(arguments, capsys):
    """Exit code, output, errors."""
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    out, err = capsys.readouterr()
    return code, out, err


def test_train_evaluate_and_resume(tmp_path, capsys):
    directory = tmp_path / "run"
    arguments = [
        "train",
        "--run-dir",
        str(directory),
        *TINY,
        "--total-timesteps",
        "64",
        "--seed",
        "3",
        "--evaluate-games",
        "4",
        "--reward",
        "kills=3",
        "--save-every",
        "0",
    ]
    code, out, err = run(arguments, capsys)
    assert (code, err) == (0, "")
    assert "compiling…" in out
    assert "update 2/2 · 64 steps" in out
    for name in ["trained, sampled", "trained, argmax", "random", "greedy", "final stage", "games won", "as weighted"]:
        assert name in out
    for name in ["curves.png", "metrics.jsonl", "checkpoints", "evaluation.json", "config.json"]:
        assert (directory / name).exists()
    assert json.loads((directory / "evaluation.json").read_text())["random"]["games"] == 4
    stored = TrainConfig.from_dict(json.loads((directory / "config.json").read_text()))
    assert (stored.num_envs, stored.seed, stored.ent_coef) == (8, 3, TrainConfig.preset("cpu").ent_coef)
    assert stored.reward_weights == {"kills": 3}

    code, _, err = run(arguments, capsys)
    assert code == 1
    assert "already holds a run. Resume it, or choose another run directory" in err

    code, _, err = run(["train", "--resume", "--run-dir", str(directory), "--gamma", "0.5"], capsys)
    assert code == 1
    assert f"gamma is 0.5, stored is {stored.gamma}" in err

    resume = ["train", "--resume", "--run-dir", str(directory), "--evaluate-games", "0"]
    code, _, err = run([*resume, "--rewind", "7"], capsys)
    assert code == 1
    assert "checkpoints has no checkpoint 7. Choose one of 1, 2" in err
    code, out, err = run([*resume, "--rewind", "1"], capsys)
    assert (code, err) == (0, "")
    assert f"run directory {directory}, from update 1 on" in out
    assert (directory / "after-1" / "evaluation.json").exists()
    assert len((directory / "after-1" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "COMMAND"),
        (["fly"], 2, "invalid choice: 'fly'"),
        (["train", "--num-envs", "many"], 2, "argument --num-envs: invalid int value: 'many'"),
        (["train", "--num-envs", "-4"], 2, "num_envs is -4, expected an integer of at least 1"),
        (["train", "--num-envs", "10"], 2, "not a multiple of num_minibatches = 4"),
        (["train", "--preset", "huge"], 2, "invalid choice: 'huge'"),
        (["train", "--minutes", "abc"], 2, "argument --minutes: abc is not a positive number of minutes"),
        (["train", "--gamma", "x"], 2, "argument --gamma: invalid float value: 'x'"),
        (["train", "--reward", "kills"], 2, "kills is not PART=WEIGHT, as in kills=3"),
        (["train", "--reward", "kils=3"], 2, "reward_weights has 'kils', expected names among step_penalty"),
        (["train", "--minutes", "0"], 2, "0 is not a positive number of minutes"),
        (["train", "--minutes", "1e306"], 2, "1e306 is not a positive number of minutes, of at most 1,000,000"),
        (["train", "--total-timesteps", "1.5"], 2, "argument --total-timesteps: invalid int value: '1.5'"),
        (["train", "--total-timesteps", "1e999999999"], 2, "1e999999999 is above 9223372036854775807"),
        (["train", "--total-timesteps", "nan"], 2, "argument --total-timesteps: invalid int value: 'nan'"),
        (["train", "--points", "1e308"], 2, "points is 1e+308, expected a number of at least 0 and at most 3.4"),
        (["train", "--run-dir", os.fsdecode(b"DIR/r\xff")], 1, "has a name that is not UTF-8, or"),
        (["train", "--evaluate-games", "2000000000"], 2, "--games 2000000000 needs about 7,629.4 GiB of memory, and"),
        (["evaluate", "pretrained", "--games", "2000000000"], 2, "--games 2000000000 needs about"),
        (["evaluate", "pretrained", "--simulations", "1e9"], 2, "--simulations 1000000000 needs about 488,281.2 GiB"),
        (["watch", "pretrained", "--simulations", "1000000000"], 2, "--simulations 1000000000 needs about 3,814.7 GiB"),
        (["benchmark", "env", "--num-envs", "1000000000000"], 2, "num_envs = 1000000000000 needs about"),
        (["benchmark", "search", "--simulations", "1000000000"], 2, "num_envs = 1 with 1000000000 simulations needs"),
        (["train", "--minutes", "nan"], 2, "nan is not a positive number of minutes"),
        (["train", "--save-every", "-1"], 2, "-1 is not a number of seconds of at least 0"),
        (["train", "--save-every", "nan"], 2, "nan is not a number of seconds of at least 0"),
        (["train", "--rewind", "3"], 2, "--rewind goes back in a run that is resumed: add --resume, or leave it out"),
        (["train", "--checkpoint", "3"], 2, "--checkpoint is for --from RUN. To go on from an earlier one: --resume"),
        (["train", "--from", "pretrained", "--checkpoint", "3"], 1, "pretrained comes with the package: there is no"),
        (["evaluate", "pretrained", "--checkpoint", "best"], 1, "there is no checkpoint 'best' to choose"),
        (["watch", "random", "--checkpoint", "1"], 1, "random comes with the package: there is no checkpoint '1'"),
        (["watch", "DIR", "--checkpoint", "bset"], 1, "DIR holds no checkpoint. Give the directory of a training run"),
        (["train", "--resume"], 2, "--resume needs --run-dir"),
        (["train", "--resume", "--run-dir", "DIR", "--from", "pretrained"], 2, "leave out --preset and --from"),
        (
            ["train", "--from", "DIR/nothing"],
            1,
            "DIR/nothing does not exist. Give the directory of a training run, or pretrained or",
        ),
        (
            ["train", "--from", "pretrained", "--run-dir", "DIR/new", *TINY],
            1,
            "stored network has another shape",
        ),
        (["train", "--resume", "--run-dir", "DIR/new"], 2, "DIR/new holds no checkpoint to resume. Leave out --resume"),
        (["train", "--run-dir", "DIR/file/run"], 1, "cannot be written to"),
        (
            ["evaluate", "DIR/nothing"],
            1,
            "DIR/nothing does not exist. Give the directory of a training run, or pretrained, pretrained-points",
        ),
        (["evaluate", "DIR", "--games", "-1"], 2, "-1 is below 1"),
        (["evaluate", "DIR", "--seed", "4294967296"], 2, "4294967296 is above 4294967295"),
        (["watch", "greedy", "--seed", "-1"], 2, "-1 is below 0"),
        (["watch", "greedy", "--out", "DIR/file/game.html"], 2, "--out DIR/file/game.html cannot be written"),
        (["watch", "greedy", "--simulations", "4"], 2, "'greedy', expected one with a network"),
        (["train", "--total-timesteps", "9" * 400], 2, "99999999999999999999… is above 9223372036854775807"),
        (["train", "--num-envs", "100000000000000"], 2, "Set it to 1600000000000000 or more"),
        (["train", *TINY, "--num-envs", str(10**8), "--total-timesteps", str(10**18)], 2, "needs about"),
        (["train", "--process-id", "0"], 2, "--process-id is for several processes: add --distributed"),
        (["evaluate", "DIR/file"], 1, "DIR/file is a file. Give the directory of a training run"),
        (["evaluate", "DIR", "--games", "0"], 2, "0 is below 1"),
        (["evaluate", "greedy"], 2, "greedy is a baseline, which every run is compared with. For a directory"),
        (["benchmark", "env", "--json", "DIR/nothing/x.json"], 2, "DIR/nothing/x.json cannot be written: No such file"),
        (["benchmark", "train", "--num-envs", "256", "0"], 2, "0 is below 1"),
        (["watch", "DIR/nothing"], 1, "DIR/nothing does not exist"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(arguments, code, message, tmp_path, capsys):
    (tmp_path / "file").touch()
    given = [argument.replace("DIR", str(tmp_path)) for argument in arguments]
    got, _, err = run(given, capsys)
    assert got == code
    assert message.replace("DIR", str(tmp_path)) in err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["1000000", "1e6", "1_000_000", "1.0E+6", "0.1e7"])
def test_integers_are_taken_as_people_type_them(text):
    total = make_parser().parse_args(["train", "--total-timesteps", text]).total_timesteps
    assert (type(total), total) == (int, 1_000_000)


def test_memory_that_runs_out_is_told_in_one_sentence():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.block_until_ready(jnp.zeros(2**50, jnp.uint8))
    assert _lack(caught.value).startswith("there is not enough memory. Choose smaller numbers (RESOURCE_EXHAUSTED: Out")
    assert _lack(ValueError("of another kind")) is None


def test_runs_that_start_in_the_same_second_have_directories_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    assert [str(train.new_run_dir()) for _ in range(3)] == ["runs/now", "runs/now-2", "runs/now-3"]


def test_watch_writes_a_page_that_plays_a_game(tmp_path, capsys):
    target = tmp_path / "game.html"
    code, out, err = run(["watch", "greedy", "--seed", "3", "--out", str(target)], capsys)
    assert (code, err) == (0, "")
    assert f"replay {target}" in out
    assert "<h1>greedy, seed 3</h1>" in target.read_text()


@pytest.mark.slow
def test_a_search_is_evaluated_and_watched(tmp_path, capsys):
    directory, target = tmp_path / "run", tmp_path / "game.html"
    sizes = [*TINY, "--total-timesteps", "64", "--evaluate-games", "0"]
    code, out, err = run(["train", "--run-dir", str(directory), *sizes], capsys)
    assert (code, err) == (0, "")
    assert "update 2/2 · 64 steps" in out

    chosen = [str(directory), "--checkpoint", "2"]
    code, out, err = run(["evaluate", *chosen, "--games", "4", "--simulations", "2"], capsys)
    assert (code, err) == (0, "")
    assert "2 simulations" in out
    assert json.loads((directory / "evaluation-2.json").read_text())["2 simulations"]["games"] == 4

    code, out, err = run(["watch", *chosen, "--simulations", "2", "--out", str(target)], capsys)
    assert (code, err) == (0, "")
    assert f"<h1>{directory}/checkpoints/2, seed 0</h1>" in target.read_text()
    assert '"search":' in target.read_text()


def test_resume_does_not_make_a_directory(tmp_path, capsys):
    run(["train", "--resume", "--run-dir", str(tmp_path / "new")], capsys)
    assert not (tmp_path / "new").exists()


def test_every_field_of_the_config_is_an_option(capsys):
    code, out, _ = run(["train", "--help"], capsys)
    assert code == 0
    for name in TrainConfig().to_dict():
        option = "reward" if name == "reward_weights" else name.replace("_", "-")
        assert f"--{option} " in out


def test_doctor(capsys):
    code, out, err = run(["doctor"], capsys)
    assert (code, err) == (0, "")
    for word in [
        "jax ",
        "distrax ",
        "orbax-checkpoint ",
        "preset for this device: ",
        "GiB",
        "a matrix product on the device: correct",
    ]:
        assert word in out


def test_a_network_to_start_from_brings_its_sizes():
    about = {"config": TrainConfig.preset("plan", hidden_dim=96, num_layers=3, gamma=0.5).to_dict()}
    given = make_parser().parse_args(["train", "--from", "DIR", "--preset", "cpu", "--num-layers", "1"])
    expected = TrainConfig.preset("cpu", hidden_dim=96, num_layers=1, cell_dim=0)
    assert train.chosen_config(given, about) == expected


@pytest.mark.parametrize(
    ("run", "target"),
    [
        ("/runs/a", "/runs/a/evaluation.json"),
        ("/runs/a/checkpoints", "/runs/a/evaluation.json"),
        ("/runs/a/checkpoints/7", "/runs/a/evaluation-7.json"),
        ("/", "/evaluation.json"),
    ],
)
def test_an_evaluation_goes_into_the_directory_of_its_run(run, target):
    assert str(evaluate._target(Path(run))) == target


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/mine", "checkpoints/7"])
def test_an_evaluation_finds_a_run_by_what_it_holds(tmp_path, name):
    (tmp_path / name / "checkpoints" / "12").mkdir(parents=True)
    for given, target in {"": "", "checkpoints": "", "checkpoints/12": "-12"}.items():
        assert evaluate._target(tmp_path / name / given) == tmp_path / name / f"evaluation{target}.json"


def test_no_command_line_ends_in_a_traceback(capsys):
    """2,000 random ones, parsed; what they would do is tried above."""
    rng, parser = random.Random(0), make_parser()
    actions = [a for command in ("train", "evaluate", "watch", "play", "benchmark") for a in _options(parser, command)]
    words = [
        "",
        "-",
        "--",
        "-1",
        "0",
        "1e400",
        "nan",
        "inf",
        "9" * 5000,
        "\0",
        "é…",
        "x" * 300,
        "/etc/passwd",
        "pretrained",
    ]
    words += ["train", "evaluate", "watch", "play", "benchmark", "doctor", "env", "auto", *actions]
    ends = set()
    for _ in range(2000):
        line = rng.choices(words, k=rng.randint(0, 6))
        try:
            parser.parse_args([rng.choice(words[14:20]), *line])
        except SystemExit as exit_:
            ends.add(exit_.code)
    assert ends == {0, 2}
    capsys.readouterr()


def _options(parser, command):
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return [option for action in commands.choices[command]._actions for option in action.option_strings]
