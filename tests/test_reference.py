"""The reference simulator against every recording of the original game: it has to earn its place as an oracle."""

from collections import defaultdict
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from . import conformance, reference

LEAST = 1 / 400  # outcomes are enumerated where every branch is at least this likely, else sampled
SAMPLES = 30


@pytest.fixture(scope="module", params=["transitions", "corners"])
def records(request):
    return conformance.load(request.param)


def exact_outcomes(record):
    """All outcomes of a record with their probabilities, or None where there are too many branches."""
    merged = defaultdict(float)
    outcomes = {}

    def play(rng):
        return conformance.reference_outcome(record["state"], record["actions"], rng)

    try:
        for outcome, probability in reference.branches(play, least=LEAST):
            key = conformance.outcome_key(outcome)
            outcomes[key] = outcome
            merged[key] += probability
    except reference.TooManyBranchesError:
        return None
    return [(outcomes[key], probability) for key, probability in merged.items()]


def test_masks(records):
    wrong = [i for i, record in enumerate(records) if reference.valid_actions(record["state"]) != record["valid"]]
    assert wrong == []


def test_observations(records):
    ours = np.stack([reference.observe(record["state"]) for record in records])
    recorded = np.stack([conformance.dense_observation(record) for record in records])
    np.testing.assert_allclose(ours, recorded, rtol=0, atol=1e-6)


def test_outcomes(records):
    rng = Random(0)
    problems = {}
    enumerated = 0
    for index, record in enumerate(records):
        exact = exact_outcomes(record)
        if exact is None:
            # The rarest outcome that must occur has a share of 5 %.
            samples = 200 if "outcomes" in record else SAMPLES
            found = conformance.disagreements(record, sampled_outcomes(record, samples, rng))
        else:
            enumerated += 1
            found = conformance.disagreements(record, (outcome for outcome, _ in exact))
            found += frequency_disagreements(record, exact)
        if found:
            problems[index] = found
    assert problems == {}
    assert enumerated > 0.7 * len(records)


def sampled_outcomes(record, count, rng):
    return [conformance.reference_outcome(record["state"], record["actions"], rng) for _ in range(count)]


def frequency_disagreements(record, exact):
    """Compare how often each outcome was recorded with its exact probability."""
    if "outcomes" not in record:
        return []
    counts = {conformance.outcome_key(outcome): outcome["n"] for outcome in record["outcomes"]}
    observed = [counts.pop(conformance.outcome_key(outcome), 0) for outcome, _ in exact]
    # With few cells left the original at times gives up the search for a (safe) cell, R6.4 never does.
    tolerated = 0.1 * record["samples"] if record.get("kind") == "spawns" else 0
    if sum(counts.values()) > tolerated:
        return [f"{len(counts)} recorded outcomes can not happen"]
    if len(exact) == 1:
        return []
    expected = np.array([probability for _, probability in exact]) * sum(observed)
    significance = chisquare(observed, expected).pvalue
    return [] if significance > 1e-6 else [f"outcomes recorded {observed} times, expected {expected}"]
