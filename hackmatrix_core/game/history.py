"""The undo history (R6.5, R8.3): the snapshots of a game as packed words, the oldest first.

The rules read nothing of it but the newest snapshot, and change it in whole snapshots. So it stays outside the batch
that the rules work on (see `batching`): they are given the newest snapshot, and say how the history changes. It is by
far the largest part of a state, so a step writes one row of it in place. Rows that hold no snapshot are 0: equal games
are equal arrays.
"""

import dataclasses
import enum
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.state import (
    DEFAULT_UNDO_DEPTH,
    MAX_ENTITIES,
    NUM_CELLS,
    REMEMBERED_ENTITY_BITS,
    SET_ASIDE,
    SNAPSHOT_FIELDS,
    GameState,
    Snapshot,
)
from hackmatrix_core.game.vectorization.backend import on_cpu
from hackmatrix_core.game.vectorization.batching import batched
from hackmatrix_core.game.vectorization.rows import stacked
from hackmatrix_core.game.vectorization.sparse import finder

_NUMBERS = tuple(name for name in SNAPSHOT_FIELDS if name not in ("cells", "entities"))
_FLAGS = ("show", "calm")
_FIRST_NUMBER = NUM_CELLS + MAX_ENTITIES
WORDS = _FIRST_NUMBER + len(_NUMBERS)
"""Words of a packed snapshot."""
_CLEARED_AT_ONCE = 16
"""Rows: a game that ends has used few of them, as a rule."""


class Change(enum.IntEnum):
    """What a step does to the history."""

    KEEP = 0
    PUSH = 1  # the present on top; the oldest is forgotten where there is no room
    POP = 2  # the newest off
    CLEAR = 3  # a new game


def set_aside(state: GameState) -> GameState:
    """The state of one game without its history."""
    return dataclasses.replace(state, history=SET_ASIDE)


def with_newest(state: GameState) -> GameState:
    """The state of one game with its newest snapshot, packed, in place of the history; zeros where there is none."""
    newest = lax.dynamic_index_in_dim(state.history, jnp.maximum(state.history_length - 1, 0), keepdims=False)
    return dataclasses.replace(state, history=newest)


def checked_depth(undo_depth: int) -> int:
    """The depth as given, if it is one.

    Raises:
        ValueError: it is not an integer of at least 1.
    """
    if isinstance(undo_depth, bool) or not isinstance(undo_depth, int | np.integer) or undo_depth < 1:
        raise ValueError(
            f"undo_depth is {undo_depth!r}, expected how many snapshots to keep for UNDO: an integer of at least 1 "
            f"(default {DEFAULT_UNDO_DEPTH})"
        )
    return int(undo_depth)


def empty(state: GameState, undo_depth: int) -> GameState:
    """The state of one game, whose history was set aside, with an empty one of this depth."""
    return dataclasses.replace(state, history=jnp.zeros((checked_depth(undo_depth), WORDS), jnp.uint32))


def changed(new: GameState, old: GameState, change: jax.Array) -> GameState:
    """The new state of one game with its history.

    Args:
        new: the state after the step, its history set aside and its `history_length` not changed yet.
        old: the state before, with its history.
        change: () int32, a `Change`.
    """
    depth, length = old.undo_depth, old.history_length
    pushes, pops, clears = (change == kind for kind in (Change.PUSH, Change.POP, Change.CLEAR))
    forgets = pushes & (length == depth)
    row = jnp.where(pushes, pack(new), np.uint32(0))
    place = jnp.where(pushes, length, jnp.where(pops, length - 1, depth))  # `depth` for no row; so for what forgets
    # The row comes first: XLA would copy the whole array if a loop came between reading and writing it.
    kept = jnp.asarray(old.history).at[place].set(row, mode="drop")
    kept = _cleared(kept, jnp.where(clears, length, 0))
    return dataclasses.replace(
        new,
        history=_moved_down(kept, forgets, row),
        history_length=jnp.where(clears, 0, length + (pushes & ~forgets).astype(jnp.int32) - pops.astype(jnp.int32)),
    )


def restarted(state: GameState, fresh: GameState, ended: jax.Array) -> GameState:
    """The state of one game, or, where it has ended, a new one.

    Args:
        state: with its history.
        fresh: the new game, its history set aside.
        ended: () bool.
    """
    chosen = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, set_aside(state))
    return dataclasses.replace(chosen, history=_cleared(state.history, jnp.where(ended, state.history_length, 0)))


def pack(state: Snapshot) -> jax.Array:
    """What UNDO restores of one state, as words, the entities' flags off (R8.3): uint32 (84,)."""
    numbers = stacked([getattr(state, name).astype(jnp.uint32) for name in _NUMBERS])
    return jnp.concatenate([state.cells, state.entities & REMEMBERED_ENTITY_BITS, numbers])


def unpack(words: jax.Array) -> Snapshot:
    """The snapshot of packed words: uint32 (84, …) to arrays (36, …) and (…)."""
    numbers = {name: words[_FIRST_NUMBER + i] for i, name in enumerate(_NUMBERS)}
    for name, word in numbers.items():
        numbers[name] = word != 0 if name in _FLAGS else word if name == "programs" else word.astype(jnp.int32)
    return Snapshot(cells=words[:NUM_CELLS], entities=words[NUM_CELLS:_FIRST_NUMBER], **numbers)


@functools.partial(batched, games_last=False, in_blocks=False)
def _cleared(histories: jax.Array, rows: jax.Array) -> jax.Array:
    """Histories with their first rows set to 0. Few games of a batch need it in a step, and a CPU touches only these.

    Args:
        histories: (N, D, 84) uint32.
        rows: (N,) int32, how many: 0 for none, or all that are in use.
    """
    if not on_cpu():  # one pass over the memory takes less time there than the turns of a loop
        return jnp.where((rows > 0)[:, None, None], np.uint32(0), histories)
    number, find = finder(rows > 0)
    height = min(histories.shape[1], _CLEARED_AT_ONCE)
    zeros = jnp.zeros((1, height, WORDS), jnp.uint32)

    def clear(k: jax.Array, histories: jax.Array) -> jax.Array:
        game = find(k[None])[0]

        def clear_rows(part: jax.Array, histories: jax.Array) -> jax.Array:
            return lax.dynamic_update_slice(histories, zeros, (game, part * height, jnp.int32(0)))

        return lax.fori_loop(0, (rows[game] + height - 1) // height, clear_rows, histories)

    return lax.fori_loop(0, number, clear, histories)


@functools.partial(batched, games_last=False, in_blocks=False)
def _moved_down(histories: jax.Array, forgets: jax.Array, row: jax.Array) -> jax.Array:
    """Full histories without their oldest snapshot and with a new one. At the default depth this hardly ever happens.

    Args:
        histories: (N, D, 84) uint32.
        forgets: bool (N,), where to do so.
        row: (N, 84) uint32, the new snapshots.
    """
    number, find = finder(forgets)

    def move(k: jax.Array, histories: jax.Array) -> jax.Array:
        game = find(k[None])[0]
        history = lax.dynamic_index_in_dim(histories, game, keepdims=False)
        return lax.dynamic_update_index_in_dim(histories, jnp.concatenate([history[1:], row[game][None]]), game, 0)

    return lax.fori_loop(0, number, move, histories)
