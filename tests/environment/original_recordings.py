"""Sessions with the original's program, as they were recorded, how answers are compared, and who follows them."""

import gzip
import json

import numpy as np

from hackmatrix_core.environment.original import check, reading
from hackmatrix_core.environment.original.belief import Belief
from tests import ROOT


def sessions(*kinds):
    """The sessions of these kinds: lists of (sent, received); received is None where the process had ended."""
    with gzip.open(ROOT / "tests/data/protocol.jsonl.gz", "rt") as file:
        recorded = [json.loads(line) for line in file]
    return [[tuple(exchange) for exchange in one["lines"]] for one in recorded if one["kind"] in kinds]


def canonical(line):
    """An answer as a text that is equal for equal answers: numbers to 1e-6, objects in any order."""
    return json.dumps(json.loads(line, parse_float=lambda number: round(float(number), 6)), sort_keys=True)


def leaves(answer):
    """What an answer holds, as pairs: the place and the value of each number, flag and text."""

    def found(value, place):
        if isinstance(value, dict):
            return [leaf for key, inner in value.items() for leaf in found(inner, f"{place}.{key}")]
        if isinstance(value, list):
            return [leaf for i, inner in enumerate(value) for leaf in found(inner, f"{place}[{i}]")]
        return [(place, value)]

    return set(found(json.loads(answer), ""))


def forms(line):
    """The form of each object and number in an answer: its place without indices, and its keys or its type."""

    def found(value, place):
        if isinstance(value, dict):
            inner = [form for key, each in value.items() for form in found(each, f"{place}.{key}")]
            return [(place, *sorted(value)), *inner]
        if isinstance(value, list):
            return [(place, "list"), *(form for each in value for form in found(each, f"{place}[]"))]
        is_reward = place.startswith((".reward", ".info.reward_breakdown."))
        return [(place, "number" if is_reward and not isinstance(value, bool) else type(value).__name__)]

    return set(found(json.loads(line), ""))


def mask_of(valid):
    return np.isin(np.arange(28), valid["validActions"])


class Follower:
    """The state behind the answers of the original, each step of it checked."""

    def __init__(self, answer, questions):
        self.told, self.mask = self._look(answer, questions)
        self.belief = Belief(self.told, np.random.default_rng(0))
        self.belief.agree(self.mask)

    def step(self, action, answer, questions):
        was, happened = self.belief.copy(), reading.read_step(answer)
        self.told, self.mask = self._look(answer, questions)
        kills = happened.reward_parts["kills"] > 0
        self.belief.follow(action, self.told, happened.completed, happened.won, kills)
        if not happened.terminated:
            self.belief.agree(self.mask)
        check.check_step(was, action, happened, answer, self.belief, self.told, self.mask)

    @staticmethod
    def _look(answer, questions):
        mask = mask_of(questions.get("getValidActions", {"validActions": []}))
        return reading.read(answer["observation"], questions.get("getInternalState")), mask
