"""The recordings of the original game in `tests/data`, and how outcomes are compared with them.

A record holds a state (R12), its valid actions and its observation, one to three actions, and what came out of them in
`samples` runs of the original: either all `outcomes`, or the `fixed` fields that were the same in every run. `stages`
holds freshly generated boards, `undo_chains` long play without chance, step by step.

An outcome of ours has the form of a recorded one, but for its history, which is all there and not only a length.
"""

import gzip
import json
from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

import numpy as np

from tests import DATA
from tests.game import reference
from tests.game.reference.tables import FIRST_PROGRAM, PROGRAM_NAMES

Record = dict[str, Any]
Outcome = dict[str, Any]

OBSERVATION_SIZE = 1545
UNDO = FIRST_PROGRAM + PROGRAM_NAMES.index("undo")
LEAST = 1 / 400  # outcomes are enumerated where every ordinary branch is at least this likely
RECORDED_HISTORY = 8  # a recording tells of so many snapshots at most
FLAGS = ["done", "success", "stage_advanced", "won", "died"]


def load(name: str) -> list[Record]:
    """All records of `tests/data/NAME.jsonl.gz`."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def dense_observation(record: Record, dtype: type = np.float32) -> np.ndarray:
    """The recorded observation, shape (1545,): float32 values, or the small integers of `undo_chains`."""
    values = np.zeros(OBSERVATION_SIZE, dtype)
    for index, value in record["obs"]:
        values[index] = value
    return values


def mask_of(record: Record) -> np.ndarray:
    """The recorded valid actions: bool (28,)."""
    return np.isin(np.arange(reference.NUM_ACTIONS), record["valid"])


def outcome_of(state: dict[str, Any], result: Any) -> Outcome:
    """An outcome in the recorded form: a state as a dictionary, and what else `step` returned."""
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


def reference_outcome(
    state: dict[str, Any], actions: Sequence[int], rng: Random, undo_depth: int | None = None
) -> Outcome:
    """Carry out actions in the reference simulator, stopping when done; its history is unlimited without a depth."""
    for action in actions:
        state, result = reference.step(state, action, rng, undo_depth)
        if result.terminated:
            break
    return outcome_of(state, result)


def exact_outcomes(record: Record) -> dict[str, reference.Branch]:
    """All outcomes that the reference gives a record, by their keys; equal ones are put together.

    Raises TooManyBranchesError as `reference.branches` does.
    """
    merged: dict[str, reference.Branch] = {}
    play = partial(reference_outcome, record["state"], record["actions"])
    for outcome, probability, is_ordinary in reference.branches(play, least=LEAST):
        key = outcome_key(outcome)
        _, before, was_ordinary = merged.get(key, (None, 0.0, False))
        merged[key] = reference.Branch(outcome, before + probability, was_ordinary or is_ordinary)
    assert abs(sum(branch.probability for branch in merged.values()) - 1) < 1e-6
    return merged


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
    missed = None
    for outcome in outcomes:
        key = outcome_key(outcome)
        if key in recorded:
            problems += _history_differences(outcome, recorded[key]["state"]["history"])
        elif is_complete and key not in seen:
            missed = missed_outcomes(record) if missed is None else missed
            if key not in missed:
                nearest = min((_field_differences(outcome, other) for other in record["outcomes"]), key=len)
                problems.append("not among the recorded outcomes, differs from the nearest in " + "; ".join(nearest))
        seen.add(key)
    for key, outcome in recorded.items():
        if key not in seen and outcome["n"] >= 0.05 * record["samples"]:
            problems.append(f"an outcome recorded {outcome['n']} times of {record['samples']} never occurs")
    return problems


def _differences_from_fixed(record: Record, outcomes: list[Outcome]) -> list[str]:
    found = [(outcome, problem) for outcome in outcomes for problem in _fixed_differences(record, outcome)]
    missed = missed_outcomes(record) if found else set()
    return sorted({problem for outcome, problem in found if outcome_key(outcome) not in missed})


def _fixed_differences(record: Record, outcome: Outcome) -> list[str]:
    """Where one outcome has not what was the same in every recorded run."""
    state = outcome["state"]
    ours = state | outcome | {f"n_{kind}": len(state[kind]) for kind in ("enemies", "transmissions")}
    problems = [
        f"{name} is {ours[name]}, recorded {value}"
        for name, value in record["fixed"].items()
        if name not in ("history", "total") and _comparable(name, ours[name]) != _comparable(name, value)
    ]
    if "history" in record["fixed"]:
        problems += _history_differences(outcome, record["fixed"]["history"])
    return problems


def missed_outcomes(record: Record) -> set[str]:
    """The outcomes that the recording does not show because in them a spawn failed to find one of few cells (R6.4).

    None, unless the reference can tell them and expects all of them together less than once in as many runs.
    """
    try:
        exact = exact_outcomes(record)
    except reference.TooManyBranchesError:
        return set()
    shown = {outcome_key(outcome) for outcome in record.get("outcomes", [])}
    missed = {
        key: branch.probability
        for key, branch in exact.items()
        if not branch.is_ordinary
        and (_fixed_differences(record, branch.result) if "fixed" in record else key not in shown)
    }
    return set(missed) if sum(missed.values()) * record["samples"] < 1 else set()


def _history_differences(outcome: Outcome, recorded: int) -> list[str]:
    """Whether the history has the recorded length, as far as a recording tells (R12)."""
    length = len(outcome["state"]["history"])
    return [] if min(length, RECORDED_HISTORY) == recorded else [f"history has length {length}, recorded {recorded}"]


def _field_differences(ours: Outcome, recorded: Outcome) -> list[str]:
    """The fields in which two outcomes differ, for messages."""
    pairs = [(name, ours[name], recorded[name]) for name in ["reward", *FLAGS]]
    pairs += [(name, value, recorded["state"][name]) for name, value in ours["state"].items() if name != "history"]
    return [
        f"{name}: {mine}, recorded {other}"
        for name, mine, other in pairs
        if _comparable(name, mine) != _comparable(name, other)
    ]
