"""The game against every recording of the original (R1-R12): mask, observation, outcomes, reward parts."""

import jax
import numpy as np
import pytest

from tests.game import bulk, conformance

pytestmark = pytest.mark.usefixtures("as_users_compile")


@pytest.fixture(scope="module", params=["transitions", "corners"])
def recordings(request):
    """The records of a file, and their states as one batch."""
    records = conformance.load(request.param)
    return records, bulk.stack(record["state"] for record in records)


def runs(record):
    """How many random runs show what a record asks for: an outcome with a share of 5 % must not be missed."""
    if record["distinct"] == 1:
        return 4
    return 24 if "fixed" in record else 200


def test_states_survive_a_round_trip(recordings):
    records, states = recordings
    for record, ours in zip(records, bulk.dictionaries(states), strict=True):
        assert conformance.in_order(ours) == conformance.in_order(record["state"])


def test_masks(recordings):
    records, states = recordings
    recorded = np.zeros((len(records), 28), bool)
    for row, record in zip(recorded, records, strict=True):
        row[record["valid"]] = True
    np.testing.assert_array_equal(bulk.masks(states), recorded)


def test_observations(recordings):
    records, states = recordings
    recorded = np.stack([conformance.dense_observation(record) for record in records])
    ours = bulk.observations(states)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, recorded, rtol=0, atol=1e-6)


def test_outcomes(recordings):
    records, states = recordings
    outcomes = bulk.play(
        states, [record["actions"] for record in records], [runs(record) for record in records], jax.random.key(2024)
    )
    problems = {}
    for index, (record, ours) in enumerate(zip(records, outcomes, strict=True)):
        found = conformance.disagreements(record, ours)
        if record["distinct"] == 1 and len(ours) > 1:
            found.append(f"{len(ours)} outcomes, recorded one")
        if found:
            problems[index] = found
    assert problems == {}
