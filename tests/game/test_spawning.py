"""Spawns that find no cell although there are some (R6.4): a search for k cells of 36 fails with (1 - k / 36)^100.

With fixed keys the tests are deterministic; how far a count may be off is what the binomial distribution says.
"""

from collections import Counter
from functools import partial
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

import hackmatrix_core as hm
from hackmatrix_core.game import entity
from tests.game import frequencies, reference
from tests.game.reference.board import position
from tests.game.reference.tables import CELLS, ENEMY_TYPES

SIGNIFICANCE = 1e-4
WAIT = 10
BATCH = 1 << 15
PLAYER = (0, 0)
IN_FIRE = [(0, 1), (1, 0)]
SAFE = [(2, 2), (3, 4), (5, 1)]


def missed(cells):
    return (1 - cells / 36) ** 100


def walled(open_cells, *, pending=1, scheduled=False):
    """A game with blocks on all cells but the player's and the open ones, and something to spawn."""
    block = {"kind": "data", "points": 1, "spawn": 1, "hidden": False}
    cells = [[{} for _ in range(6)] for _ in range(6)]
    for row, col in set(CELLS) - {PLAYER, *open_cells}:
        cells[row][col]["block"] = block
    state = reference.reset(Random(0))
    return state | {
        "cells": cells,
        "player": state["player"] | {"row": PLAYER[0], "col": PLAYER[1], "energy": 1},
        "programs": ["wait"],
        "transmissions": [],
        "schedule": {"interval": 12, "next_turn": 1 if scheduled else 9},
        "pending_spawns": pending,
    }


@jax.jit
def _after_wait(state, keys):
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(keys), *leaf.shape)), state)
    after, outcome = jax.vmap(hm.step)(states, jnp.full(len(keys), WAIT), keys)
    return after.entities, after.pending_spawns, outcome.invalid


def spawned(scenario, batches):
    """How often WAIT brings which transmissions: (position, type, from_siphon, scheduled) each, in their order."""
    state = hm.scenario.from_dict(scenario, 1)
    counts = Counter()
    for seed in range(batches):
        entities, pending, invalid = map(np.asarray, _after_wait(state, jax.random.split(jax.random.key(seed), BATCH)))
        assert not invalid.any()
        assert not pending.any()
        for words, count in zip(*np.unique(entities, axis=0, return_counts=True), strict=True):
            counts[tuple(described(word) for word in words if entity.KIND.get(word) != entity.NONE)] += int(count)
    return counts


def described(word):
    at = divmod(int(entity.CELL.get(word)), 6)
    return (
        at,
        ENEMY_TYPES[int(entity.TYPE.get(word))],
        bool(entity.FROM_SIPHON.test(word)),
        bool(entity.SCHEDULED.test(word)),
    )


def assert_rate(counts, event, probability):
    """That the event happens that often, and that a game in which it never does would be noticed."""
    found = sum(count for spawns, count in counts.items() if event(spawns))
    assert binomtest(0, counts.total(), probability).pvalue < SIGNIFICANCE**2
    assert binomtest(found, counts.total(), probability).pvalue > SIGNIFICANCE


def assert_as_in_the_reference(scenario, counts):
    """All outcomes and how often they come, types, cells and flags together."""
    expected = Counter()
    for (after, _), probability, _ in reference.branches(partial(reference.step, scenario, WAIT), least=1 / 200):
        spawns = [
            (position(one), *(one[name] for name in ("type", "from_siphon", "scheduled")))
            for one in after["transmissions"]
        ]
        expected[tuple(spawns)] += probability
    assert frequencies.significance([(counts, expected)]) > SIGNIFICANCE


@pytest.mark.parametrize(("safe", "batches"), [(1, 1), (2, 1), (3, 10)])
def test_the_line_of_fire_is_resorted_to(safe, batches):
    """The first search fails, the second, over all open cells, finds one in the line of fire."""
    scenario = walled([*SAFE[:safe], *IN_FIRE])
    counts = spawned(scenario, batches)
    in_fire = len(IN_FIRE) / (safe + len(IN_FIRE))
    assert_rate(
        counts,
        lambda spawns: len(spawns) == 1 and spawns[0][0] in IN_FIRE,
        missed(safe) * (1 - missed(safe + len(IN_FIRE))) * in_fire,
    )
    assert_as_in_the_reference(scenario, counts)


@pytest.mark.parametrize(
    ("open_cells", "probability", "batches"),
    [
        (IN_FIRE[:1], missed(1), 1),
        (SAFE[:1], missed(1) ** 2, 1),
        (IN_FIRE, missed(2), 1),
        ([SAFE[0], IN_FIRE[0]], missed(1) * missed(2), 3),
    ],
    ids=["one in the line of fire", "one out of it", "two in the line of fire", "one of each"],
)
def test_a_spawn_is_dropped(open_cells, probability, batches):
    """Both searches fail."""
    scenario = walled(open_cells)
    counts = spawned(scenario, batches)
    assert_rate(counts, lambda spawns: not spawns, probability)
    assert_as_in_the_reference(scenario, counts)


def test_a_spawn_after_a_dropped_one_is_tried_afresh():
    scenario = walled(IN_FIRE[:1], pending=2)
    counts = spawned(scenario, 1)
    assert_rate(counts, lambda spawns: not spawns, missed(1) ** 2)
    assert_as_in_the_reference(scenario, counts)


def test_a_dropped_spawn_leaves_its_flags_to_nobody():
    """The scheduled one comes first; where it is dropped the siphon's may take the cell, in the first slot."""
    scenario = walled(IN_FIRE[:1], scheduled=True)
    counts = spawned(scenario, 1)
    assert_rate(counts, lambda spawns: [one[2:] for one in spawns] == [(True, False)], missed(1) * (1 - missed(1)))
    assert_as_in_the_reference(scenario, counts)


def test_many_spawns_fill_the_last_cells_in_the_end():
    counts = spawned(walled([*SAFE, *IN_FIRE], pending=500), 1)
    assert {len(spawns) for spawns in counts} == {len(SAFE) + len(IN_FIRE)}
