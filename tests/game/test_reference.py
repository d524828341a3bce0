"""The reference simulator against every recording of the original game: it has to earn its place as an oracle."""

from functools import partial
from random import Random

import numpy as np
import pytest

from tests.game import conformance, frequencies, reference

SAMPLES = 30  # where outcomes are too many to be enumerated
SIGNIFICANCE = 1e-6
CELL_COUNTS = np.ones(42)
CELL_COUNTS[[4, 10, 35, 36, 37, 38]] = [3, 9, 9, 4, 3, 3]
COUNTS = np.concatenate([[5, 5, 3, 50, 50, 7, 10, 2, 1, 1], np.ones(23), np.tile(CELL_COUNTS, 36)])  # of 1.0 (R11)


@pytest.fixture(scope="module", params=["transitions", "corners"])
def records(request):
    return conformance.load(request.param)


def test_masks(records):
    wrong = [i for i, record in enumerate(records) if reference.valid_actions(record["state"]) != record["valid"]]
    assert wrong == []


def test_observations(records):
    ours = np.stack([reference.observe(record["state"]) for record in records])
    recorded = np.stack([conformance.dense_observation(record) for record in records])
    np.testing.assert_allclose(ours, recorded, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_outcomes(records):
    """What is wrong here shows in other tests: the game is compared with the recordings, and with the reference."""
    rng = Random(0)
    problems = {}
    frequency = []
    for index, record in enumerate(records):
        try:
            exact = conformance.exact_outcomes(record)
        except reference.TooManyBranchesError:
            # The rarest outcome that must occur has a share of 5 %.
            samples = 200 if "outcomes" in record else SAMPLES
            found = conformance.disagreements(record, sampled_outcomes(record, samples, rng))
        else:
            found = conformance.disagreements(record, [branch.result for branch in exact.values()])
            frequency.append(recorded_frequency(record, exact))
            if (significance := frequencies.significance(frequency[-1:])) < SIGNIFICANCE:
                found.append(f"the outcomes of so many runs: {frequency[-1]}, significance {significance}")
        if found:
            problems[index] = found
    assert problems == {}
    assert len(frequency) > 0.7 * len(records)
    assert frequencies.significance(frequency) > SIGNIFICANCE


def sampled_outcomes(record, count, rng):
    return [conformance.reference_outcome(record["state"], record["actions"], rng) for _ in range(count)]


def recorded_frequency(record, exact):
    """How often each outcome was recorded, if that is known, and its exact probability."""
    counts = {conformance.outcome_key(outcome): outcome["n"] for outcome in record.get("outcomes", [])}
    return counts, {key: branch.probability for key, branch in exact.items()}


def test_undo_chains():
    """Every step of long play without chance and with many undos, on a history without limit (R8.3)."""
    deepest = 0
    for chain in conformance.load("undo_chains"):
        (((states, outcomes), *_),) = reference.branches(partial(played, chain), least=1)
        deepest = max(deepest, *[len(state["history"]) for state in states])
        recorded = [chain["start"], *chain["steps"]]
        np.testing.assert_allclose(
            [reference.observe(state) * COUNTS for state in states],
            [conformance.dense_observation(record) for record in recorded],
            rtol=1e-6,
        )
        assert [outcome.terminated for outcome in outcomes] == [record["done"] for record in chain["steps"]]
        rewards = [outcome.reward for outcome in outcomes]
        np.testing.assert_allclose(rewards, [record["reward"] for record in chain["steps"]], rtol=0, atol=1e-9)
        # In a lost game the original calls nothing valid.
        going_on = slice(None, -1 if outcomes[-1].terminated else None)
        valid = [reference.valid_actions(state) for state in states]
        assert valid[going_on] == [record["valid"] for record in recorded][going_on]
    assert deepest > 50


def played(chain, rng):
    """The states and outcomes of a chain."""
    states, outcomes = [chain["state"]], []
    for recorded in chain["steps"]:
        state, outcome = reference.step(states[-1], recorded["action"], rng)
        states.append(state)
        outcomes.append(outcome)
    return states, outcomes
