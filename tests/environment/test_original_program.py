"""The original's program as a process: what it may do wrong, and that nothing of it is left."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hackmatrix_core as hm

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")

from hackmatrix_core.environment.original.program import OriginalError, Program
from tests import ROOT
from tests.environment.programs_of_the_original import player, script, told_in_full

LOGS = "import sys; print('what went wrong', file=sys.stderr, flush=True); "
ENDS_WITH_ITS_PIPE = "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL); "
STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
print('{"validActions": []}', flush=True)
time.sleep(600)
"""
"""A program with a child, both of which only SIGKILL ends. It answers once, unasked."""

WRONG = {
    "ends": (script(LOGS + "sys.exit(7)"), r"ended with exit code 7 instead of answering \{\"action\": \"reset\"\}"),
    "is killed": (script(LOGS + "import os; os.kill(os.getpid(), 9)"), "ended with exit code -9"),
    "hangs": (script(LOGS + "import time; time.sleep(600)"), r"did not answer .* within 2 seconds"),
    "closes its output": (script(LOGS + "import os, time; os.close(1); time.sleep(600)"), "closed its output"),
    "answers late": (script(LOGS + "import time; input(); time.sleep(4); print('{}')"), "did not answer"),
    "babbles": (
        script(LOGS + ENDS_WITH_ITS_PIPE + "[print('bla' * 10**5) for _ in range(10**4)]"),
        "answered .* with 'blabla.*…', expected",
    ),
    "never ends a line": (
        script(LOGS + ENDS_WITH_ITS_PIPE + "[print('x' * 10**5, end='') for _ in range(10**4)]"),
        "answered .* with 'xx",
    ),
    "answers bytes": (script(LOGS + "sys.stdout.buffer.write(b'\\xff\\x00\\n')"), "answered .* with '\ufffd"),
    "answers a list": (script(LOGS + "input(); print([])"), r"answered .* with '\[\]', expected a JSON object"),
    "answers an error": (script(LOGS + 'input(); print(\'{"error": "no"}\')'), "with .*error.*no"),
    "nests": (script(LOGS + "input(); print('[' * 10**5)"), r"answered .* with '\[\["),
    "answers nothing of use": (
        script(LOGS + "\nfor line in sys.stdin: print('{}', flush=True)"),
        "answered something else than the protocol says .*observation",
    ),
}


def is_alive(pid):
    """Whether a process runs; one that has ended and whose parent has not asked is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("name", WRONG)
def test_programs_that_fail(name):
    command, said = WRONG[name]
    env = hm.HackMatrixOriginal(command, timeout=2)
    for _ in range(2):  # it is started again
        with pytest.raises(OriginalError, match=said) as found:
            env.reset()
        message = str(found.value)
        assert message.startswith(f"the original, {sys.executable} -c ")
        assert "Its log ends: what went wrong" in message
        assert len(message) < 2000
        assert not is_alive(env._program._process.pid)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/program", "the original cannot be started: /no/such/program --headless-cli: No such file"),
        (
            [ROOT / "README.md", "--visual-cli"],
            "README.md --visual-cli: Permission denied. Give the path of its program",
        ),
    ],
)
def test_programs_that_are_missing(command, said):
    with pytest.raises(OriginalError, match=said):
        hm.HackMatrixOriginal(command).reset()


def test_a_program_that_ends_within_a_game(tmp_path):
    recorded = told_in_full("game")[0][:3]
    env = hm.HackMatrixOriginal(player(tmp_path / "game.json", recorded))
    for _ in range(2):
        env.reset()
        for command, *_ in recorded[1:]:
            env.step(command["actionIndex"])
        with pytest.raises(OriginalError, match=r"instead of answering .*actionIndex.*StopIteration"):
            env.step(recorded[1][0]["actionIndex"])
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)


def pids_of(path):
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_nothing_is_left_when_it_is_closed_or_forgotten(tmp_path):
    for forget in (lambda program: program.close(), lambda program: None):
        path = tmp_path / str(id(forget))
        program = Program([*script(STUBBORN), path], timeout=60)
        wait_until(lambda path=path: len(pids_of(path)) == 2)
        assert all(map(is_alive, pids_of(path)))
        forget(program)
        del program
        gc.collect()
        wait_until(lambda path=path: not any(map(is_alive, pids_of(path))))


ENDS = {
    "kill -9": "time.sleep(600)",
    "SIGINT": "time.sleep(600)",
    "SIGTERM": "time.sleep(600)",
    "the end": "pass",
    "an error": "1 / 0",
    "at once": "os._exit(0)",
}


@pytest.mark.parametrize("name", ENDS)
def test_nothing_is_left_when_we_end(name, tmp_path):
    path = tmp_path / "pids"
    code = f"""
import os, sys, time
from hackmatrix_core.environment.original.program import Program
program = Program([sys.executable, "-c", {STUBBORN!r}, {str(path)!r}], timeout=60)
program._answers.get()
while len(open({str(path)!r}).read().split()) < 2: time.sleep(0.01)
{ENDS[name]}
"""
    ours = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(pids_of(path)) == 2, seconds=60)
    numbers = {"kill -9": signal.SIGKILL, "SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
    if name in numbers:
        assert all(map(is_alive, pids_of(path)))
        os.kill(ours.pid, numbers[name])
    ours.wait(60)
    wait_until(lambda: not any(map(is_alive, pids_of(path))))
