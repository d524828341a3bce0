"""The command as a process: signals, what it writes to, and backends that are not there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hackmatrix_core.training.history import read_metrics
from tests.test_cli import TINY, run

COMMAND = "import sys; from hackmatrix_command import main; sys.exit(main())"
"""What the installed script does."""


@pytest.mark.parametrize(
    ("platform", "why", "arguments"),
    [
        ("nonsense", "Backend 'nonsense' is not in the list of known backends", ["evaluate", "pretrained"]),
        ("cuda", "there is no such device", ["doctor"]),
        ("cuda", "there is no such device", ["benchmark", "env", "--num-envs", "8"]),
    ],
)
def test_a_backend_that_is_not_there_is_named_in_one_sentence(platform, why, arguments, tmp_path):
    if platform == "cuda" and Path("/dev/nvidiactl").exists():
        pytest.skip("there is one")
    environment = os.environ | {"JAX_PLATFORMS": platform, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMMAND, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith(f"hackmatrix: JAX cannot compute on {platform}: ")
    assert why in sentence
    assert "Set JAX_PLATFORMS=cpu" in sentence


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "--run-dir", tmp_path, *TINY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not read_metrics(tmp_path / "metrics.jsonl"):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    told = re.search(rf"stopped and saved\. Continue with: (\S+) train --resume --run-dir {tmp_path}", out)
    assert told is not None, out
    assert shutil.which(told[1]), told[1]  # a virtual environment need not be active
    saved = max(int(folder.name) for folder in (tmp_path / "checkpoints").iterdir())
    assert saved == len(read_metrics(tmp_path / "metrics.jsonl"))


def test_a_run_stopped_while_it_compiles_is_not_evaluated(tmp_path, capsys):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "--run-dir", tmp_path, *TINY, "--minutes", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.stdout.readline() != "compiling…\n":
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (143, "")
    assert re.search(
        rf"nothing is trained yet\. Continue with: \S+ train --resume --run-dir {tmp_path} --minutes 3\n", out
    )
    code, _, err = run(["evaluate", str(tmp_path)], capsys)
    assert (code, "nothing is trained yet. Resume it" in err) == (1, True)


SWALLOWED = """
import os, signal, time
from hackmatrix_core.interrupts import end_at_interrupt

class Finalizer:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

end_at_interrupt()
Finalizer()
time.sleep(60)
"""


def test_an_interrupt_that_falls_into_a_finalizer_is_heard():
    run = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=50)
    assert (run.returncode, run.stderr.strip()) == (130, "hackmatrix: interrupted")


RUDE = """
import sys
from hackmatrix_core.cli.output import make_output_sturdy
make_output_sturdy()
print("2 × 3 · a…")
print("done", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("shell", "written"),
    [
        ("PYTHONIOENCODING=ascii exec {}", "2 ? 3 ? a?\n"),
        ("exec {} >/dev/full", ""),
        ("{} | true", ""),
        ("exec {} >&-", ""),
    ],
)
def test_output_that_cannot_be_written_ends_no_command(shell, written):
    command = shell.format('"$0" -c "$1"')
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, RUDE], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, written, "done\n")


def test_a_command_ends_well_with_a_reader_that_has_gone():
    command = '"$0" -c "$1" doctor | head -1'
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, COMMAND], capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stderr, run.stdout.partition(" ")[0]) == (0, "", "python")


def test_closed_output_ends_no_command():
    run = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" doctor >&- 2>&-', sys.executable, COMMAND], timeout=300)
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        (["doctor"], "importing hackmatrix_core"),
        (["doctor"], "importing lazy_loader"),
        (["play"], "importing numpy"),
        (["doctor"], "importing jax"),
        (["evaluate", "pretrained", "--games", "77"], "playing 77 games with each policy…"),  # XLA compiles
    ],
)
def test_ctrl_c_is_heard_at_any_moment(arguments, last_line):
    code = """
import sys
sys.addaudithook(lambda event, names: print("importing", names[0], flush=True) if event == "import" else None)
from hackmatrix_command import main
sys.exit(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.stdout.readline().strip() != last_line:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "hackmatrix: interrupted")
