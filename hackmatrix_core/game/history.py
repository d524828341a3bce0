"""The undo history (R6.5, R8.3).

The rules read nothing of it but the newest snapshot, and change it in whole snapshots. So it stays outside of the batch
that the rules work on (see `batching`): they are given the newest snapshot, and tell how the history changes.
"""

import dataclasses
import enum

import jax
import jax.numpy as jnp

from hackmatrix_core.game.state import UNDO_DEPTH, GameState, Snapshot, snapshot


class Change(enum.IntEnum):
    """What a step does to the history."""

    KEEP = 0
    PUSH = 1  # the present on top; the oldest falls out
    POP = 2  # the newest off
    CLEAR = 3  # a new game


def set_aside(state: GameState) -> GameState:
    """The state of one game without its history."""
    return dataclasses.replace(state, history=None)


def with_newest(state: GameState) -> GameState:
    """The state of one game with the newest snapshot in place of the history."""
    return dataclasses.replace(state, history=jax.tree.map(lambda kept: kept[0], state.history))


def empty(state: GameState) -> GameState:
    """The state of one game, whose history was set aside, with an empty one."""
    blank = jax.tree.map(lambda now: jnp.zeros((UNDO_DEPTH, *now.shape), now.dtype), snapshot(state))
    return dataclasses.replace(state, history=blank)


def changed(state: GameState, history: Snapshot, change: jax.Array) -> GameState:
    """The state of one game with its history after the step.

    Args:
        state: the new state, its history set aside.
        history: (4, …) that of the state before.
        change: () int32, a `Change`.
    """

    def shift(kept: jax.Array, now: jax.Array) -> jax.Array:
        pushed = jnp.concatenate([now[None], kept[:-1]])
        popped = jnp.concatenate([kept[1:], jnp.zeros_like(kept[:1])])
        kept = jnp.where(change == Change.CLEAR, jnp.zeros_like(kept), kept)
        return jnp.where(change == Change.PUSH, pushed, jnp.where(change == Change.POP, popped, kept))

    return dataclasses.replace(state, history=jax.tree.map(shift, history, snapshot(state)))
