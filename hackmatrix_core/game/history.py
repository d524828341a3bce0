"""The undo history (R6.5, R8.3)."""

import dataclasses

import jax
import jax.numpy as jnp

from hackmatrix_core.game.state import SNAPSHOT_FIELDS, UNDO_DEPTH, GameState, snapshot


def restored(state: GameState, undoes: jax.Array) -> GameState:
    """Bring back the newest snapshot where `undoes`: bool (N,). The history itself is left to `recorded`."""
    changed = {
        name: jnp.where(_as_rank(undoes, getattr(state, name)), getattr(state.history, name)[0], getattr(state, name))
        for name in SNAPSHOT_FIELDS
    }
    return dataclasses.replace(state, **changed)


def recorded(state: GameState, pops: jax.Array, pushes: jax.Array) -> GameState:
    """Take the newest snapshot off (`pops`) or put the present on top (`pushes`; the oldest falls out): bool (N,)."""

    def shift(kept: jax.Array, now: jax.Array) -> jax.Array:
        pushed = jnp.concatenate([now[None], kept[:-1]])
        popped = jnp.concatenate([kept[1:], jnp.zeros_like(kept[:1])])
        return jnp.where(_as_rank(pushes, kept), pushed, jnp.where(_as_rank(pops, kept), popped, kept))

    length = state.history_length + pushes.astype(jnp.int32) - pops.astype(jnp.int32)
    return dataclasses.replace(
        state,
        history=jax.tree.map(shift, state.history, snapshot(state)),
        history_length=jnp.minimum(length, UNDO_DEPTH),
    )


def _as_rank(flag: jax.Array, like: jax.Array) -> jax.Array:
    return flag.reshape((1,) * (like.ndim - 1) + flag.shape)
