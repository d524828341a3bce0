"""The game against the reference simulator, on states from random play and on enriched ones (R1-R12)."""

import json
from collections import Counter, defaultdict
from itertools import islice
from random import Random

import jax
import numpy as np
import pytest
from scipy.stats import chi2

from . import bulk, conformance, random_states, reference

STATES = 1200
RUNS = 128  # of an action that chance has a hand in
LEAST = 1 / 120  # only actions whose outcomes are at least this likely, branch by branch
SIGNIFICANCE = 1e-6
WAIT = 10


@pytest.fixture(scope="module")
def states():
    """Every seventh state of random play."""
    return list(islice(random_states.visited(Random(1)), 0, 7 * STATES, 7))


@pytest.fixture(scope="module")
def batch(states):
    return bulk.stack(states)


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


def test_steps(states, batch):
    """Outcomes are exactly the reference's, with the order of entities and whole histories, each as often as there."""
    rng = Random(2)
    actions = [choose_actions(state, rng) for state in states]
    expected = [exact_outcomes(state, sequence) for state, sequence in zip(states, actions, strict=True)]
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
    assert significance(few) > SIGNIFICANCE
    assert significance(many) > SIGNIFICANCE


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
    expected = exact_outcomes(state, [WAIT])
    assert len(expected) >= 3
    (played,) = bulk.play(bulk.stack([state]), [[WAIT]], [4096], jax.random.key(4))
    counts = counted(played)
    assert counts.keys() == expected.keys()
    assert significance([(counts, expected)]) > SIGNIFICANCE


def choose_actions(state, rng):
    """Mostly one or two valid actions, the second UNDO where possible; at times any action, or none of the 28."""
    valid = reference.valid_actions(state)
    if not valid or rng.random() < 0.05:
        return [rng.choice([-1, 28, 1000, *range(reference.NUM_ACTIONS)])]
    first = random_states.likely_action(valid, rng)
    after, outcome = reference.step(state, first, rng)
    valid = reference.valid_actions(after)
    if outcome.terminated or not valid or rng.random() < 0.7:
        return [first]
    return [first, conformance.UNDO if conformance.UNDO in valid else random_states.likely_action(valid, rng)]


def counted(outcomes):
    counts = Counter()
    for outcome in outcomes:
        counts[exact_key(outcome)] += outcome["n"]
    return counts


def significance(samples):
    """Of a chi-square test over all (counts, probabilities) together."""
    deviation, freedom = 0.0, 0
    for counts, probabilities in samples:
        for key, probability in probabilities.items():
            mean = probability * counts.total()
            deviation += (counts[key] - mean) ** 2 / mean
        freedom += len(probabilities) - 1
    assert freedom > 0
    return chi2.sf(deviation, freedom)


def exact_outcomes(state, actions):
    """All outcomes with their probabilities, or None where some are too unlikely to be listed."""
    outcomes = defaultdict(float)

    def play(rng):
        return conformance.reference_outcome(state, actions, rng)

    try:
        for outcome, probability in reference.branches(play, least=LEAST):
            outcomes[exact_key(outcome)] += probability
    except reference.TooManyBranchesError:
        return None
    return dict(outcomes)


def exact_key(outcome):
    """Text that is equal for equal outcomes, with entities in their order and histories in full."""
    flags = {name: outcome[name] for name in conformance.FLAGS}
    return json.dumps([outcome["state"], conformance.rounded(outcome["reward"]), flags], sort_keys=True)
