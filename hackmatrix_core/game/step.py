"""The four functions of a game, put together from the files around this one (R2, R4, R9)."""

import dataclasses
import functools
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hackmatrix_core.game import actions, board, history, mask, observation, random, stage
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.arguments import as_action, check_key, check_state
from hackmatrix_core.game.enemies import enemy_turn
from hackmatrix_core.game.occupancy import occupancy_of
from hackmatrix_core.game.player import perform
from hackmatrix_core.game.rewards import Transition, by_name, reward_parts
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, MAX_HP, NUM_STAGES, SET_ASIDE, GameState
from hackmatrix_core.game.vectorization.batching import batched, uninlined

Parts = TypeVar("Parts")


class Outcome(NamedTuple, Generic[Parts]):
    """What one action brought."""

    reward: jax.Array  # () float32, the sum of the parts
    reward_parts: Parts  # 15 × () float32 by the names of R10; within the rules one array, (15,)
    terminated: jax.Array  # () bool: won, died or invalid
    won: jax.Array  # () bool
    died: jax.Array  # () bool
    invalid: jax.Array  # () bool: the action was not valid, nothing happened (R4.2)
    stage_completed: jax.Array  # () bool, also for a win


def reset(key: jax.Array, undo_depth: int = DEFAULT_UNDO_DEPTH) -> GameState:
    """Start a new game (R2).

    Args:
        key: one key, typed or old.
        undo_depth: how many snapshots UNDO can go back (R8.3), at least 1. The original keeps all of them; with the
            default, none of 12,288 measured games would notice. A snapshot takes 336 bytes of the state.

    Returns:
        A `GameState` at stage 1.

    Raises:
        TypeError: `key` is not a random key.
        ValueError: `undo_depth` is not an integer of at least 1, or `key` is a batch.
    """
    check_key(key, "hm.reset")
    return _new_game(key, history.checked_depth(undo_depth))


@functools.partial(jax.jit, static_argnames="undo_depth")
def _new_game(key: jax.Array, undo_depth: int) -> GameState:
    return history.empty(_reset(random.seed_from_key(key)), undo_depth)


NamedOutcome = Outcome[dict[str, jax.Array]]


def step(state: GameState, action: ArrayLike, key: jax.Array) -> tuple[GameState, NamedOutcome]:
    """Carry out one action by the rules; nothing is reset when the game ends.

    Args:
        state: the state of one game.
        action: () of any integer dtype; outside 0–27 it counts as invalid (R4.2).
        key: one key, typed or old.

    Returns:
        The new state and an `Outcome`.

    Raises:
        TypeError: the action is not an integer, or another argument is not what it should be.
        ValueError: an argument is a batch; use `jax.vmap`.
    """
    check_state(state, "hm.step")
    check_key(key, "hm.step")
    return _step_game(state, as_action(action), key)


@jax.jit
def _step_game(state: GameState, action: jax.Array, key: jax.Array) -> tuple[GameState, NamedOutcome]:
    new, outcome, change = _step(history.with_newest(state), action, random.seed_from_key(key))
    named: dict[str, Any] = outcome._asdict() | {"reward_parts": by_name(outcome.reward_parts)}
    return history.changed(new, state, change), Outcome(**named)


def get_valid_actions(state: GameState) -> jax.Array:
    """The action mask: bool (28,), by R4.1. It can be all False.

    Raises:
        TypeError: `state` is not a `GameState`.
        ValueError: it is a batch; use `jax.vmap`.
    """
    check_state(state, "hm.get_valid_actions")
    return _get_valid_actions(history.set_aside(state))


def observe(state: GameState) -> jax.Array:
    """The observation: float32 (1545,), by R11; `split_observation` names its parts. Errors as `get_valid_actions`."""
    check_state(state, "hm.observe")
    return _observe(state)


@jax.jit
def _observe(state: GameState) -> jax.Array:
    return observation.decode(compact_observation(state))


def compact_observation(state: GameState) -> jax.Array:
    """The observation as small integers: uint8 (1545,); `observation.decode` makes it what `observe` gives."""
    return observation.compact(_packed_observation(history.set_aside(state)))


def advance(state: GameState, action: jax.Array, seed: jax.Array) -> tuple[GameState, Outcome[jax.Array], jax.Array]:
    """One action, up to but not including the generation of a new stage; games along the last axis.

    Where a stage was completed and the game not won, `stage` and `interval` are already those of the new stage and
    `complete` must follow.

    Args:
        state: N games, with their newest snapshots, packed, in place of the histories.
        action: int32 (N,).
        seed: uint32 (2, N).

    Returns:
        The states, their histories set aside and what tells of these as before; the outcomes, their reward parts as
        one array, float32 (15, N); how the histories change, int32 (N,).
    """
    occupancy = uninlined(occupancy_of)(state.cells, state.entities, state.position)
    chosen = (uninlined(mask.valid_actions)(state, occupancy) >> (action & 31).astype(jnp.uint32)) & 1
    is_valid = (chosen != 0) & (action >= 0) & (action < NUM_ACTIONS)
    action = jnp.where(is_valid, action, -1)

    new, effect = perform(state, occupancy, action, seed)
    moves = effect.ends_turn & ~new.step
    blocks = board.blocks(new.cells)
    new = enemy_turn(new, effect.ends_turn, blocks, seed)
    undoes = action == actions.UNDO
    new = dataclasses.replace(new, history=SET_ASIDE)
    change = jnp.where(moves, history.Change.PUSH, jnp.where(undoes, history.Change.POP, history.Change.KEEP))

    won = effect.completed & (state.stage == NUM_STAGES)
    died = effect.ends_turn & (new.hp == 0)
    new = dataclasses.replace(new, hp=jnp.where(effect.completed, jnp.minimum(new.hp + 1, MAX_HP), new.hp))
    happened = Transition(state, new, blocks, action, effect, won, died)
    parts = jnp.where(is_valid[None], reward_parts(happened, occupancy), 0)
    enters = effect.completed & ~won
    next_stage = jnp.where(enters, state.stage + 1, state.stage)
    new = dataclasses.replace(
        new, stage=next_stage, interval=jnp.where(enters, stage.first_interval(next_stage), new.interval)
    )
    outcome = Outcome(
        reward=jnp.sum(parts, axis=0),
        reward_parts=parts,
        terminated=won | died | ~is_valid,
        won=won,
        died=died,
        invalid=~is_valid,
        stage_completed=effect.completed,
    )
    return new, outcome, change


def complete(state: GameState, outcome: Outcome[jax.Array], seed: jax.Array) -> GameState:
    """Generate the new stage where `advance` completed one; games along the last axis."""
    return stage.enter(state, outcome.stage_completed & ~outcome.won, seed)


@batched
def _reset(seed: jax.Array) -> GameState:
    return stage.enter(stage.new_games(seed), jnp.ones(seed.shape[1], bool), seed)


@batched
def _step(state: GameState, action: jax.Array, seed: jax.Array) -> tuple[GameState, Outcome[jax.Array], jax.Array]:
    state, outcome, change = advance(state, action, seed)
    return complete(state, outcome, seed), outcome, change


@batched
def _get_valid_actions(state: GameState) -> jax.Array:
    return mask.as_mask(mask.valid_actions(state, occupancy_of(state.cells, state.entities, state.position)))


_packed_observation = batched(observation.packed)
