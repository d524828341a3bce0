"""The same result whatever way the functions are called: with `jit` and `vmap` or without, with keys of any kind."""

import json
from collections import Counter
from itertools import islice
from random import Random

import jax
import numpy as np
import pytest

import hackmatrix_core as hm
from tests import programs
from tests.game import bulk, random_states
from tests.game.bulk import assert_same

WAIT = 10
GRID, GRID_WIDTH = 64, 32  # this many states with this many keys each, stepped together


@pytest.fixture(scope="module")
def cases():
    """A grid of states and keys, with an action each that has random consequences: WAIT, or what else is valid."""
    states = bulk.stack(islice(random_states.visited(Random(11)), 0, 20 * GRID, 20))
    masks = bulk.masks(states)
    actions = np.where(masks[:, WAIT], WAIT, np.argmax(masks, axis=1))
    index = np.repeat(np.arange(GRID), GRID_WIDTH)
    return bulk.take(states, index), actions[index], jax.random.split(jax.random.key(14), len(index))


def test_step_is_the_same_with_and_without_jit_and_vmap(cases):
    expected = bulk.steps(*cases)
    nested = jax.tree.map(lambda x: x.reshape(GRID, GRID_WIDTH, *x.shape[1:])[:5], cases)
    grid = jax.jit(jax.vmap(jax.vmap(hm.step)))(*nested)
    assert_same(
        jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), grid), bulk.take(expected, np.arange(5 * GRID_WIDTH))
    )
    one = jax.jit(hm.step)
    for i in range(0, len(cases[1]), 100):
        assert_same(one(*bulk.take(cases, i)), bulk.take(expected, i))
    assert_same(hm.step(*bulk.take(cases, 0)), bulk.take(expected, 0))


@pytest.mark.parametrize("function", [hm.get_valid_actions, hm.observe], ids=lambda function: function.__name__)
def test_looking_is_the_same_with_and_without_jit_and_vmap(cases, function):
    states, _, _ = cases
    expected = {hm.get_valid_actions: bulk.masks, hm.observe: bulk.observations}[function](states)
    one = jax.jit(function)
    for i in range(0, len(expected), 100):
        np.testing.assert_array_equal(one(bulk.take(states, i)), expected[i])
    np.testing.assert_array_equal(function(bulk.take(states, 0)), expected[0])


def test_reset_is_the_same_with_and_without_jit_and_vmap():
    keys = jax.random.split(jax.random.key(15), 40)
    expected = bulk.resets(keys)
    assert_same(programs.reset(keys[:7]), bulk.take(expected, np.arange(7)))
    assert_same(jax.jit(hm.reset)(keys[3]), bulk.take(expected, 3))
    assert_same(hm.reset(keys[4]), bulk.take(expected, 4))


def test_typed_and_old_keys_give_the_same(cases):
    state, action, _ = bulk.take(cases, 0)
    assert_same(hm.reset(jax.random.key(16)), hm.reset(jax.random.PRNGKey(16)))
    assert_same(hm.step(state, action, jax.random.key(16)), hm.step(state, action, jax.random.PRNGKey(16)))


def test_keys_of_another_implementation_are_taken(cases):
    state, action, _ = bulk.take(cases, 0)
    key = jax.random.key(17, impl="rbg")
    old = jax.random.key_data(key)
    assert_same(hm.reset(key), hm.reset(old))
    assert_same(hm.step(state, action, key), hm.step(state, action, old))
    games = bulk.dictionaries(programs.reset(jax.random.split(key, 50)))
    assert len({json.dumps(game) for game in games}) == len(games)


@pytest.fixture(scope="module")
def counted_games():
    return bulk.resets(jax.vmap(jax.random.key)(np.arange(4096)))


@pytest.mark.parametrize("offset", [1, 2, 16, 1024])
def test_neighbouring_keys_give_independent_games(counted_games, offset):
    """Keys that are made from counters (`jax.random.key(i)`) must not give related games."""
    games = counted_games
    bonus = games.credits + 2 * games.energy
    _, codes = np.unique(np.stack([games.position, bonus, games.exit], axis=1), axis=0, return_inverse=True)
    pairs = Counter(zip(codes[:-offset].tolist(), codes[offset:].tolist(), strict=True))
    kinds = codes.max() + 1
    mean = (len(codes) - offset) / kinds**2
    assert kinds == 4 * 3 * 3
    statistic = sum((pairs[first, second] - mean) ** 2 / mean for first in range(kinds) for second in range(kinds))
    assert abs(statistic - kinds**2) < 5 * np.sqrt(2 * kinds**2)
