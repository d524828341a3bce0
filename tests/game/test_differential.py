"""The game against the reference simulator, on states from random play and on enriched ones (R1-R12)."""

import hashlib
import json
from collections import Counter, defaultdict
from functools import partial
from itertools import islice
from random import Random

import jax
import numpy as np
import pytest

from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests.game import bulk, conformance, frequencies, random_states, reference

# Depth of the histories, number of states. A wrong rule shows in many of some hundreds; more of them, for rare cases.
SIZES = [
    (DEFAULT_UNDO_DEPTH, 500),
    (4, 400),
    pytest.param((DEFAULT_UNDO_DEPTH, 1200), marks=pytest.mark.slow),
    pytest.param((4, 500), marks=pytest.mark.slow),
]
RUNS = 128  # of an action that chance has a hand in
LEAST = 1 / 120  # only actions whose ordinary outcomes are at least this likely, branch by branch
SIGNIFICANCE = 1e-6
WAIT = 10


@pytest.fixture(scope="module", params=SIZES, ids=str)
def size(request):
    return request.param


@pytest.fixture(scope="module")
def undo_depth(size):
    return size[0]


@pytest.fixture(scope="module")
def states(size):
    """Every seventh state of random play."""
    undo_depth, count = size
    return list(islice(random_states.visited(Random(1), undo_depth), 0, 7 * count, 7))


@pytest.fixture(scope="module")
def batch(states, undo_depth):
    return bulk.stack(states, undo_depth)


def test_round_trip(states, batch):
    assert bulk.dictionaries(batch) == states


def test_masks(states, batch):
    expected = np.zeros((len(states), reference.NUM_ACTIONS), bool)
    for row, state in zip(expected, states, strict=True):
        row[reference.valid_actions(state)] = True
    np.testing.assert_array_equal(bulk.masks(batch), expected)


def test_observations(states, batch):
    expected = np.stack([reference.observe(state) for state in states])
    np.testing.assert_allclose(bulk.observations(batch), expected, rtol=0, atol=1e-6)


def test_histories_of_all_lengths(states, undo_depth):
    """Full ones too: otherwise the other tests would say little about them."""
    lengths = Counter(len(state["history"]) for state in states)
    assert max(lengths) == undo_depth
    assert lengths[undo_depth] > (20 if undo_depth < DEFAULT_UNDO_DEPTH else len(states) / 60)
    assert len(lengths) > 0.8 * (undo_depth + 1)


def test_steps(states, batch, undo_depth):
    """Outcomes are exactly the reference's, with the order of entities and whole histories, each as often as there."""
    rng = Random(4)
    actions = [choose_actions(state, rng, undo_depth) for state in states]
    expected = [exact_outcomes(state, sequence, undo_depth) for state, sequence in zip(states, actions, strict=True)]
    chosen = [i for i, outcomes in enumerate(expected) if outcomes is not None]
    assert len(chosen) > 0.7 * len(states)
    assert {action for i in chosen for action in actions[i]} >= set(range(reference.NUM_ACTIONS))

    repeats = [1 if len(expected[i]) == 1 else RUNS for i in chosen]
    played = bulk.play(bulk.take(batch, np.array(chosen)), [actions[i] for i in chosen], repeats, jax.random.key(3))
    problems = {}
    few, many = [], []  # a wrong order of movement shows where outcomes are few, a wrong spawn where they are many
    for i, outcomes in zip(chosen, played, strict=True):
        counts = counted(outcomes)
        if unexpected := counts.keys() - expected[i].keys():
            problems[i] = (actions[i], states[i], unexpected, expected[i].keys())
        (few if len(expected[i]) <= 8 else many).append((counts, expected[i]))
    assert problems == {}
    assert frequencies.significance(few) > SIGNIFICANCE
    assert frequencies.significance(many) > SIGNIFICANCE


@pytest.mark.parametrize("enemy_type", ["daemon", "virus"])
def test_order_of_movement(enemy_type):
    """Three enemies contest the one cell before the player's; stunned ones stand in the list between them (R6.2)."""
    state = reference.reset(Random(0))
    cells = [[{} for _ in range(6)] for _ in range(6)]
    for row, col in [(1, 1), (1, 3)]:
        cells[row][col]["block"] = {"kind": "data", "points": 1, "spawn": 1, "hidden": False}
    enemy = {"type": enemy_type, "hp": 2, "disabled": 0, "stunned": False, "from_siphon": False, "scheduled": False}
    contestants = [enemy | {"row": row, "col": col} for row, col in [(3, 2), (2, 1), (2, 3)]]
    bystanders = [enemy | {"row": 5, "col": col, "stunned": True} for col in range(4)]
    state |= {
        "cells": cells,
        "player": state["player"] | {"row": 0, "col": 2, "energy": 5},
        "programs": ["wait"],
        "transmissions": [],
        "enemies": [bystanders[0], contestants[0], *bystanders[1:3], contestants[1], bystanders[3], contestants[2]],
    }
    expected = exact_outcomes(state, [WAIT], DEFAULT_UNDO_DEPTH)
    assert len(expected) >= 3
    (played,) = bulk.play(bulk.stack([state]), [[WAIT]], [4096], jax.random.key(4))
    counts = counted(played)
    assert counts.keys() == expected.keys()
    assert frequencies.significance([(counts, expected)]) > SIGNIFICANCE


def choose_actions(state, rng, undo_depth):
    """Mostly one or two valid actions, the second UNDO where possible; at times any action, or none of the 28."""
    valid = reference.valid_actions(state)
    if not valid or rng.random() < 0.05:
        return [rng.choice([-1, 28, 1000, *range(reference.NUM_ACTIONS)])]
    first = random_states.likely_action(valid, rng)
    after, outcome = reference.step(state, first, rng, undo_depth)
    valid = reference.valid_actions(after)
    if outcome.terminated or not valid or rng.random() < 0.7:
        return [first]
    return [first, conformance.UNDO if conformance.UNDO in valid else random_states.likely_action(valid, rng)]


def counted(outcomes):
    counts = Counter()
    for outcome in outcomes:
        counts[exact_key(outcome)] += outcome["n"]
    return counts


def exact_outcomes(state, actions, undo_depth):
    """All outcomes with their probabilities, or None where ordinary ones are too unlikely to be listed."""
    outcomes = defaultdict(float)
    play = partial(conformance.reference_outcome, state, actions, undo_depth=undo_depth)
    try:
        for outcome, probability, _ in reference.branches(play, least=LEAST):
            outcomes[exact_key(outcome)] += probability
    except reference.TooManyBranchesError:
        return None
    assert abs(sum(outcomes.values()) - 1) < 1e-6
    return dict(outcomes)


def exact_key(outcome):
    """Text that is equal for equal outcomes, with entities in their order and histories in full, as digests."""
    flags = {name: outcome[name] for name in conformance.FLAGS}
    state = outcome["state"] | {"history": [digest(snapshot) for snapshot in outcome["state"]["history"]]}
    return json.dumps([state, conformance.rounded(outcome["reward"]), flags], sort_keys=True)


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
