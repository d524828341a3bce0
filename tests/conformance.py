"""The recordings of the original game in `tests/data`, and how outcomes are compared with them.

A record holds a state (R12), its valid actions and its observation, one to three actions, and what came out of them in
`samples` runs of the original: either all `outcomes`, or the `fixed` fields that were the same in every run. `stages`
holds freshly generated boards.

An outcome of ours has the form of a recorded one, but for its history, which is all there and not only a length.
"""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from . import reference
from .reference.tables import FIRST_PROGRAM, PROGRAM_NAMES

Record = dict[str, Any]
Outcome = dict[str, Any]

DATA = Path(__file__).parent / "data"
OBSERVATION_SIZE = 1545
UNDO = FIRST_PROGRAM + PROGRAM_NAMES.index("undo")
FLAGS = ["done", "success", "stage_advanced", "won", "died"]


def load(name: str) -> list[Record]:
    """All records of `tests/data/NAME.jsonl.gz`; of longer histories the newest snapshots that are kept (R8.3)."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as lines:
        records = [json.loads(line) for line in lines]
    for record in records:
        if "state" in record:
            record["state"]["history"] = record["state"]["history"][-reference.UNDO_DEPTH :]
    return records


def dense_observation(record: Record) -> np.ndarray:
    """The recorded observation, float32 of shape (1545,)."""
    values = np.zeros(OBSERVATION_SIZE, np.float32)
    for index, value in record["obs"]:
        values[index] = value
    return values


def outcome_of(state: dict[str, Any], result: Any) -> Outcome:
    """An outcome in the recorded form: a state as a dictionary, and what `step` returned besides."""
    return {
        "state": state,
        "reward": {name: float(value) for name, value in result.reward_parts.items()},
        "total": float(result.reward),
        "done": bool(result.terminated),
        "success": not result.invalid,
        "stage_advanced": bool(result.stage_completed),
        "won": bool(result.won),
        "died": bool(result.died),
    }


def reference_outcome(state: dict[str, Any], actions: Sequence[int], rng: Random) -> Outcome:
    """Carry out actions in the reference simulator, stopping when done."""
    for action in actions:
        state, result = reference.step(state, action, rng)
        if result.terminated:
            break
    return outcome_of(state, result)


def in_order(state: dict[str, Any]) -> dict[str, Any]:
    """The state with its sets of programs sorted, the one thing in it whose order means nothing."""
    history = [snapshot | {"programs": sorted(snapshot["programs"])} for snapshot in state["history"]]
    return state | {"programs": sorted(state["programs"]), "history": history}


def outcome_key(outcome: Outcome) -> str:
    """Text that is equal for equal outcomes, entities and programs in any order; the history is left out."""
    state = {name: _comparable(name, value) for name, value in outcome["state"].items() if name != "history"}
    flags = {name: outcome[name] for name in FLAGS}
    return json.dumps([state, rounded(outcome["reward"]), flags], sort_keys=True)


def rounded(parts: dict[str, float]) -> dict[str, float]:
    """Reward parts to 0.001; all of them are multiples of 0.005 (R10)."""
    return {name: round(float(value), 3) + 0.0 for name, value in parts.items()}


def _comparable(name: str, value: Any) -> Any:
    """A field of a state or an outcome in a form that is equal for equal things."""
    if name == "reward":
        return rounded(value)
    if name in ("enemies", "transmissions", "programs"):
        return sorted(json.dumps(item, sort_keys=True) for item in value)
    return value


def disagreements(record: Record, outcomes: Iterable[Outcome]) -> list[str]:
    """How our outcomes over many random runs differ from the recorded ones; empty if they agree."""
    outcomes = list(outcomes)
    problems = [
        f"the reward is {outcome['total']}, the sum of its parts {sum(outcome['reward'].values())}"
        for outcome in outcomes
        if not np.isclose(outcome["total"], sum(outcome["reward"].values()), rtol=1e-6, atol=1e-5)
    ]
    compare = _differences_from_fixed if "fixed" in record else _differences_from_outcomes
    return problems + compare(record, outcomes)


def _differences_from_outcomes(record: Record, outcomes: list[Outcome]) -> list[str]:
    recorded = {outcome_key(outcome): outcome for outcome in record["outcomes"]}
    # Unless each outcome was seen several times there may be others that the recording missed.
    is_complete = all(outcome["n"] >= 4 for outcome in record["outcomes"])
    problems = []
    seen = set()
    for outcome in outcomes:
        key = outcome_key(outcome)
        if key in recorded:
            ours, allowed = len(outcome["state"]["history"]), history_lengths(record, recorded[key]["state"]["history"])
            if ours not in allowed:
                problems.append(f"history has length {ours}, recorded {sorted(allowed)}")
        elif is_complete and key not in seen:
            nearest = min((_field_differences(outcome, other) for other in record["outcomes"]), key=len)
            problems.append("not among the recorded outcomes, differs from the nearest in " + "; ".join(nearest))
        seen.add(key)
    for key, outcome in recorded.items():
        if key not in seen and outcome["n"] >= 0.05 * record["samples"]:
            problems.append(f"an outcome recorded {outcome['n']} times of {record['samples']} never occurs")
    return problems


def _differences_from_fixed(record: Record, outcomes: list[Outcome]) -> list[str]:
    fixed = {name: value for name, value in record["fixed"].items() if name not in ("history", "total")}
    problems = set()
    for outcome in outcomes:
        state = outcome["state"]
        ours = state | outcome | {f"n_{kind}": len(state[kind]) for kind in ("enemies", "transmissions")}
        for name, value in fixed.items():
            if _comparable(name, ours[name]) != _comparable(name, value):
                problems.add(f"{name} is {ours[name]}, recorded {value}")
        if "history" in record["fixed"]:
            length, allowed = len(state["history"]), history_lengths(record, record["fixed"]["history"])
            if length not in allowed:
                problems.add(f"history has length {length}, recorded {sorted(allowed)}")
    return sorted(problems)


def history_lengths(record: Record, recorded: int) -> set[int]:
    """The lengths that ours may have: the original's history is unbounded, an undo shows what ours has lost."""
    before = len(record["state"]["history"])
    lost = any(action == UNDO and before + i > reference.UNDO_DEPTH for i, action in enumerate(record["actions"]))
    length = min(recorded, reference.UNDO_DEPTH)
    return {length, length - 1} if lost else {length}


def _field_differences(ours: Outcome, recorded: Outcome) -> list[str]:
    """The fields in which two outcomes differ, for messages."""
    pairs = [(name, ours[name], recorded[name]) for name in ["reward", *FLAGS]]
    pairs += [(name, value, recorded["state"][name]) for name, value in ours["state"].items() if name != "history"]
    return [
        f"{name}: {mine}, recorded {other}"
        for name, mine, other in pairs
        if _comparable(name, mine) != _comparable(name, other)
    ]
