"""Programs that stand in for the original's, as commands."""

import json
import sys

from tests import ROOT
from tests.environment.original_recordings import sessions

SERVER = [sys.executable, "-c", "import sys; from hackmatrix_command import headless; sys.exit(headless())"]
"""The simulator, as the installed script `hackmatrix-headless` runs it."""
_PLAYER = """
import json, sys
answers = {}
print("a line of its log", file=sys.stderr, flush=True)
steps = iter(json.load(open(sys.argv[1])))
for line in sys.stdin:
    command = json.loads(line)
    if command["action"] in ("reset", "step"):
        expected, answer, answers = next(steps)
        assert command == expected, command
    else:
        answer = answers[command["action"]]
    print(json.dumps(answer), flush=True)
"""
_TAMPERED = """
import json, sys
from hackmatrix_core.environment.original.server import Server
server = Server(0)
for number, line in enumerate(sys.stdin):
    answer = json.loads(server.answer(line))
    if "done" in answer and number > 20:
        answer["observation"]["credits"] += 1
    print(json.dumps(answer), flush=True)
"""


def steps(session):
    """What a session did: each command that changes the game, its answer, and the answers to questions after it."""
    found = []
    for sent, received in session:
        command = json.loads(sent)
        if command["action"] in ("reset", "setState", "step"):
            found.append((command, json.loads(received), {}))
        else:
            found[-1][2][command["action"]] = json.loads(received)
    return found


def told_in_full(*kinds):
    """The steps of the sessions that asked for the internal state as well."""
    found = [steps(session) for session in sessions(*kinds)]
    return [one for one in found if "getInternalState" in one[0][2]]


def player(path, recorded):
    """A program that plays this recording, whatever it is asked in between."""
    path.write_text(json.dumps(recorded))
    return [sys.executable, "-c", _PLAYER, path]


def script(text):
    """A program in Python."""
    return [sys.executable, "-c", text]


TAMPERED = script(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{_TAMPERED}")
"""The simulator, but with one credit too many from some step on."""
