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

STATES = 1500
RUNS = 96  # of an action that chance has a hand in
LEAST = 1 / 120  # only actions whose outcomes are at least this likely, branch by branch
SIGNIFICANCE = 1e-6


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
    rng = Random(2)
    key = jax.random.key(3)
    actions = [choose_action(state, rng) for state in states]
    expected = [exact_outcomes(state, action) for state, action in zip(states, actions, strict=True)]
    chosen = [i for i, outcomes in enumerate(expected) if outcomes is not None]
    assert len(chosen) > 0.7 * len(states)
    assert {actions[i] for i in chosen} >= set(range(reference.NUM_ACTIONS))

    repeats = [1 if len(expected[i]) == 1 else RUNS for i in chosen]
    played = bulk.play(bulk.take(batch, np.array(chosen)), [[actions[i]] for i in chosen], repeats, key)
    problems = {}
    deviation = freedom = 0.0
    for i, ours in zip(chosen, played, strict=True):
        counts = Counter()
        for outcome in ours:
            counts[exact_key(outcome)] += outcome["n"]
        unexpected = counts.keys() - expected[i].keys()
        if unexpected:
            problems[i] = (actions[i], states[i], unexpected, expected[i].keys())
        for key, probability in expected[i].items():
            mean = probability * sum(counts.values())
            deviation += (counts[key] - mean) ** 2 / mean
        freedom += len(expected[i]) - 1
    assert problems == {}
    assert freedom > 1000
    assert chi2.sf(deviation, freedom) > SIGNIFICANCE


def choose_action(state, rng):
    """Mostly a valid action, at times any, at times none of the 28."""
    valid = reference.valid_actions(state)
    if valid and rng.random() < 0.95:
        return random_states.likely_action(valid, rng)
    return rng.choice([-1, 28, 1000, *range(reference.NUM_ACTIONS)])


def exact_outcomes(state, action):
    """All outcomes with their probabilities, or None where some are too unlikely to be listed."""
    outcomes = defaultdict(float)

    def play(rng):
        return conformance.reference_outcome(state, [action], rng)

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
