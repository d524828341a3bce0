"""Stands for the original's program: `python recorded_original.py SESSION` answers as in one of its recordings."""

import gzip
import json
import sys
from pathlib import Path

RECORDINGS = Path(__file__).parents[1] / "data/protocol.jsonl.gz"


def sessions():
    """All recorded sessions: their kinds, and pairs of what was sent and received, None for a crash."""
    with gzip.open(RECORDINGS, "rt") as lines:
        for line in lines:
            session = json.loads(line)
            yield session["kind"], session["lines"]


def steps(lines):
    """Each command that changes the game, its answer, and the answers to the questions that followed it, by name."""
    found = []
    for sent, received in lines:
        command = json.loads(sent)
        if command["action"] in ("reset", "setState", "step"):
            found.append((command, json.loads(received), {}))
        else:
            found[-1][2][command["action"]] = json.loads(received)
    return found


def main(number):
    recorded = iter(steps(list(sessions())[number][1]))
    for line in sys.stdin:
        command = json.loads(line)
        if command["action"] in ("reset", "step"):
            expected, answer, questions = next(recorded)
            assert command == expected
            print(json.dumps(answer), flush=True)
        else:
            print(json.dumps(questions[command["action"]]), flush=True)


if __name__ == "__main__":
    print("the log goes here", file=sys.stderr)
    main(int(sys.argv[1]))
