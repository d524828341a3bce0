"""What holds in every state, over a million random steps."""

import dataclasses
import json
from itertools import islice
from random import Random
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests import programs
from tests.conftest import all_optimisations
from tests.game import bulk, conformance, random_states, reference
from tests.game.bulk import assert_same
from tests.game.reference.turn import snapshot

GAMES, STEPS = 512, 500  # of a lap: 256,000 steps; the states after each are looked at one by one
UNBOUNDED = [6, 7]  # observed values without an upper limit: data siphons and attack (R11)
START_STATES = 256
WAIT = 10
GRID, GRID_WIDTH = 64, 32  # this many states with this many actions each, stepped together


class Extremes(NamedTuple):
    """The least and the greatest value of everything, over all games and steps."""

    observation: tuple[jax.Array, jax.Array]
    state: tuple[hm.GameState, hm.GameState]  # without their histories
    reward: tuple[jax.Array, jax.Array]


class Counts(NamedTuple):
    """How often things happened."""

    mask_is_wrong: jax.Array  # a masked action was not invalid, or the other way round
    not_finite: jax.Array
    reward_is_not_the_sum: jax.Array
    done_without_reason: jax.Array
    actions: jax.Array  # (28,)
    invalid: jax.Array
    died: jax.Array
    completed: jax.Array


def extremes_of(*values):
    """Along the games' axis."""
    return Extremes(
        *[tuple(jax.tree.map(lambda x, f=f: f(x, axis=0), value) for f in (jnp.min, jnp.max)) for value in values]
    )


def random_step(states, start_states, key):
    """One step of all games: mostly a random valid action; a start state where it is done."""
    games = len(states.stage)
    action_key, wild_key, any_key, step_key, pick_key = jax.random.split(key, 5)
    masks = jax.vmap(hm.get_valid_actions)(states)
    valid = jax.random.categorical(action_key, jnp.where(masks, 0.0, -jnp.inf), axis=-1)
    is_wild = jax.random.bernoulli(wild_key, 0.02, (games,)) | ~masks.any(axis=1)
    actions = jnp.where(is_wild, jax.random.randint(any_key, (games,), 0, 28), valid)
    chosen_is_valid = jnp.take_along_axis(masks, actions[:, None], axis=1)[:, 0]
    stepped, outcome = jax.vmap(hm.step)(states, actions, jax.random.split(step_key, games))
    observations = jax.vmap(hm.observe)(stepped)
    total = sum(outcome.reward_parts.values())
    counts = Counts(
        mask_is_wrong=jnp.sum(chosen_is_valid == outcome.invalid),
        not_finite=jnp.sum(~jnp.isfinite(observations)) + jnp.sum(~jnp.isfinite(outcome.reward)),
        reward_is_not_the_sum=jnp.sum(jnp.abs(total - outcome.reward) > 1e-5 * (1 + jnp.abs(total))),
        done_without_reason=jnp.sum(outcome.terminated != (outcome.won | outcome.died | outcome.invalid)),
        actions=jnp.bincount(actions, length=28),
        invalid=jnp.sum(outcome.invalid),
        died=jnp.sum(outcome.died),
        completed=jnp.sum(outcome.stage_completed),
    )
    picked = bulk.take(start_states, jax.random.randint(pick_key, (games,), 0, START_STATES))

    def after_end(picked, stepped):
        terminated = outcome.terminated.reshape(-1, *[1] * (stepped.ndim - 1))
        return jnp.where(terminated, picked, stepped)

    states = jax.tree.map(after_end, picked, stepped)
    return states, (extremes_of(observations, dataclasses.replace(stepped, history=None), outcome.reward), counts)


@jax.jit
def lap(states, start_states, key):
    """`STEPS` steps of all games: the states after them, extremes and counts over all."""
    keys = jax.random.split(key, STEPS)
    states, (extremes, counts) = jax.lax.scan(lambda states, key: random_step(states, start_states, key), states, keys)
    extremes = [
        (jax.tree.map(lambda x: x.min(0), low), jax.tree.map(lambda x: x.max(0), high)) for low, high in extremes
    ]
    return states, Extremes(*extremes), jax.tree.map(lambda x: x.sum(0), counts)


class Played(NamedTuple):
    extremes: list[Extremes]
    counts: Counts
    states: hm.GameState  # (laps × GAMES, …)
    laps: int


@pytest.fixture(scope="module")
def start_states():
    """States from play and enriched ones: programs, crowds and histories from the first step on."""
    return bulk.stack(islice(random_states.visited(Random(11)), 0, 20 * START_STATES, 20))


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)], ids="{} laps".format)
def played(request, start_states):
    """A million steps in the slow tests; half of them show all that is not rarer than one in 100,000."""
    states = bulk.take(start_states, np.arange(GAMES) % START_STATES)
    laps = []
    with all_optimisations():  # a million steps take longer than compiling
        for key in jax.random.split(jax.random.key(12), request.param):
            states, extremes, counts = lap(states, start_states, key)
            laps.append((states, extremes, counts))
    states, extremes, counts = zip(*jax.tree.map(np.asarray, laps), strict=True)
    return Played(
        list(extremes),
        jax.tree.map(lambda *x: sum(x), *counts),
        jax.tree.map(lambda *x: np.concatenate(x), *states),
        request.param,
    )


def test_the_walk_goes_everywhere(played):
    """Else the other tests would say little."""
    assert played.counts.actions.sum() == GAMES * STEPS * played.laps
    assert played.counts.actions.min() > 125 * played.laps
    assert played.counts.invalid > 250 * played.laps
    assert played.counts.died > 250 * played.laps
    assert played.counts.completed > 250 * played.laps
    assert {int(stage) for stage in played.states.stage} == set(range(1, 9))
    assert set(range(20)) | {DEFAULT_UNDO_DEPTH} <= {int(length) for length in played.states.history_length}


def test_observations_are_finite_and_in_range(played):
    assert played.counts.not_finite == 0
    lowest = np.min([extremes.observation[0] for extremes in played.extremes], axis=0)
    highest = np.max([extremes.observation[1] for extremes in played.extremes], axis=0)
    assert lowest.min() >= 0
    assert np.delete(highest, UNBOUNDED).max() <= 1


def test_nothing_is_negative_and_all_is_in_range(played):
    limits = {"stage": (1, 8), "hp": (0, 3), "interval": (4, 12), "atk_plus_uses": (0, 2), "exit": (0, 35)}
    limits |= {"position": (0, 35), "history_length": (0, DEFAULT_UNDO_DEPTH)}
    at_least = {"credits": 0, "energy": 0, "data_siphons": 0, "attack": 1, "score": 0, "turn": 0, "pending_spawns": 0}
    limits |= {name: (least, 10_000) for name, least in at_least.items()}
    for extremes in played.extremes:
        low, high = extremes.state
        seen = {name: (int(getattr(low, name)), int(getattr(high, name))) for name in limits}
        outside = {
            name: seen[name]
            for name, (least, most) in limits.items()
            if not least <= seen[name][0] <= seen[name][1] <= most
        }
        assert outside == {}


def test_rewards_are_in_range(played):
    """At least: death at stage 8 (-63.5), a hit and the siphon's penalties; at most: a win (R10)."""
    for extremes in played.extremes:
        lowest, highest = extremes.reward
        assert -100 < lowest < 0
        assert 0 < highest < 20_000
    assert played.counts.reward_is_not_the_sum == 0


def test_done_has_a_reason(played):
    assert played.counts.done_without_reason == 0


def test_masks_are_what_step_takes(played):
    assert played.counts.mask_is_wrong == 0


def test_masks_of_all_actions_are_what_step_takes(played):
    """Every action in every sampled state; an invalid one changes nothing and pays nothing (R4.2)."""
    tried = np.arange(-2, 30)
    for start in range(0, len(played.states.stage), 4 * GRID):
        states = bulk.take(played.states, np.arange(start, start + GRID))
        masks = np.pad(bulk.masks(states), ((0, 0), (2, 2)))
        keys = jax.random.split(jax.random.key(start), GRID * GRID_WIDTH)
        before = bulk.take(states, np.repeat(np.arange(GRID), GRID_WIDTH))
        after, outcome = bulk.steps(before, np.tile(tried, GRID), keys)
        np.testing.assert_array_equal(~outcome.invalid, masks.ravel())
        assert outcome.terminated[outcome.invalid].all()
        assert not np.stack([outcome.reward, *outcome.reward_parts.values()])[:, outcome.invalid].any()
        assert_same(bulk.take(after, outcome.invalid), bulk.take(before, outcome.invalid))


def test_states_survive_a_round_trip(played):
    """To JSON and back, bit for bit; and the reference finds the same valid actions."""
    states = bulk.take(played.states, np.arange(0, len(played.states.stage), 8))
    scenarios = bulk.dictionaries(states)
    assert_same(bulk.stack(json.loads(json.dumps(scenarios))), states)
    masks = bulk.masks(states)
    for scenario, mask in zip(scenarios, masks, strict=True):
        assert reference.valid_actions(scenario) == np.flatnonzero(mask).tolist()


def test_what_is_free_of_a_history_is_zero(played):
    assert_free_rows_are_zero(played.states)


def assert_free_rows_are_zero(states):
    """And no others: a snapshot has an attack of at least 1."""
    after_oldest = (np.arange(states.undo_depth)[None] - states.history_start[:, None]) % states.undo_depth
    is_free = after_oldest >= states.history_length[:, None]
    np.testing.assert_array_equal(is_free, ~states.history.any(axis=2))


@pytest.mark.parametrize("undo_depth", [1, 4, DEFAULT_UNDO_DEPTH])
def test_histories_at_any_depth(undo_depth):
    """Pushed onto, also where they are full, and popped: the other rows stay, and JSON brings all back bit for bit."""
    states = jax.tree.map(np.asarray, bulk.stack(full_and_other_histories(undo_depth), undo_depth))
    forgotten = undone = 0
    for number, key in enumerate(jax.random.split(jax.random.key(18), 8)):
        masks = programs.few(programs.get_valid_actions, states)
        undoes = masks[:, conformance.UNDO] & (np.arange(GRID) % 4 < number % 4)
        actions = np.where(undoes, conformance.UNDO, np.where(masks[:, WAIT], WAIT, np.argmax(masks, axis=1)))
        after, outcome = programs.few(programs.step, states, actions, jax.random.split(key, GRID))
        pushes = ((actions < 5) | (actions == WAIT)) & ~(outcome.invalid | outcome.stage_completed | states.step)
        for i in range(GRID):
            old, new = (bulk.snapshots(one, i) for one in (states, after))
            if pushes[i]:
                forgotten += len(old) == undo_depth
                np.testing.assert_array_equal(new[:-1], old[max(0, len(old) + 1 - undo_depth) :])
            else:
                undone += undoes[i]
                np.testing.assert_array_equal(new, old[: len(old) - undoes[i]])
        assert after.undo_depth == undo_depth
        assert_free_rows_are_zero(after)
        states = after
        if number == 7:
            assert_same(bulk.stack(json.loads(json.dumps(bulk.dictionaries(states))), undo_depth), states)
    assert forgotten > 50
    assert undone > 50


def full_and_other_histories(undo_depth):
    """States with WAIT and UNDO, every other one with a full history."""
    states = list(islice(random_states.visited(Random(19), undo_depth), 3, 3 + 20 * GRID, 20))
    for number, state in enumerate(states):
        equipped = {"programs": ["wait", "undo"], "player": state["player"] | {"credits": 20, "energy": 20, "hp": 3}}
        likeness = snapshot(state | equipped)
        full = [likeness | {"turn": turn} for turn in range(undo_depth)]
        kept = [one | {name: likeness[name] for name in equipped} for one in state["history"]]
        states[number] = state | equipped | {"history": full if number % 2 else kept}
    return states


def test_entities_are_few_and_on_the_board(played):
    for scenario in bulk.dictionaries(bulk.take(played.states, np.arange(0, len(played.states.stage), 4))):
        entities = scenario["enemies"] + scenario["transmissions"]
        assert len(entities) <= reference.MAX_ENTITIES
        assert all(0 <= entity["row"] <= 5 and 0 <= entity["col"] <= 5 for entity in entities)
        assert all(1 <= enemy["hp"] <= 3 for enemy in scenario["enemies"])
        assert len(scenario["history"]) <= DEFAULT_UNDO_DEPTH
