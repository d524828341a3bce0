"""The undo history (R6.5, R8.3): a ring of snapshots, as packed words.

The rules read nothing of it but the newest snapshot, and change it in whole snapshots. So it stays outside the batch
that the rules work on (see `batching`): they are given the newest snapshot, and tell how the history changes. It is by
far the largest part of a state, so a step writes one row of it in place.

Equal games are equal arrays. So rows without a snapshot are 0, and where the ring starts follows from what it holds:
the oldest snapshot lies in the row of its turn, modulo the depth, the others in the rows after it. When a full ring
forgets its oldest, the next one is of the next turn, as a rule, and nothing moves; where it is not (an undo or a new
stage lies between them), the rows of that game are turned.
"""

import dataclasses
import enum
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import entity
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, MAX_ENTITIES, NUM_CELLS, SET_ASIDE, GameState, Snapshot
from hackmatrix_core.game.vectorization.backend import on_cpu
from hackmatrix_core.game.vectorization.batching import batched
from hackmatrix_core.game.vectorization.rows import stacked
from hackmatrix_core.game.vectorization.sparse import finder

NUMBERS = tuple(field.name for field in dataclasses.fields(Snapshot) if field.name not in ("cells", "entities"))
"""The fields of a snapshot that are one number each, in their order."""
_FLAGS = ("show", "calm")
_FIRST_NUMBER = NUM_CELLS + MAX_ENTITIES
_TURN = _FIRST_NUMBER + NUMBERS.index("turn")
WORDS = _FIRST_NUMBER + len(NUMBERS)
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
    place = (state.history_start + jnp.maximum(state.history_length - 1, 0)) % state.undo_depth
    newest = lax.dynamic_index_in_dim(state.history, place, keepdims=False)
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
    # The zero that a new game has there, not a constant: the histories of a batch then lie on the devices of its games.
    zero = state.history_length.astype(jnp.uint32)
    return dataclasses.replace(state, history=jnp.broadcast_to(zero, (checked_depth(undo_depth), WORDS)))


def recent(state: GameState, undo_depth: int) -> GameState:
    """The state of one game with no more than its newest snapshots, in a history of at most this depth."""
    old, new = state.undo_depth, checked_depth(undo_depth)
    if new >= old:
        return state
    kept = jnp.minimum(state.history_length, new)
    oldest = (state.history_start + state.history_length - kept) % old
    start = jnp.where(kept == 0, 0, state.history[oldest, _TURN].astype(jnp.int32) % new)
    number = (np.arange(new, dtype=np.int32) - start) % new  # of the snapshot that belongs in each row, oldest first
    rows = jnp.take(state.history, (oldest + number) % old, axis=0)
    rows = jnp.where((number < kept)[:, None], rows, np.uint32(0))
    return dataclasses.replace(state, history=rows, history_start=start, history_length=kept)


def snapshots(state: GameState) -> list[Snapshot]:
    """The snapshots of one game outside of JAX, its arrays numpy's: oldest first."""
    places = (int(state.history_start) + np.arange(int(state.history_length))) % state.undo_depth
    return [unpack(state.history[place]) for place in places]


def from_snapshots(kept: Sequence[Snapshot], undo_depth: int) -> dict[str, np.ndarray | np.int32]:
    """The fields of a state that hold these snapshots, oldest first and at most `undo_depth`; outside of JAX."""
    rows = []
    for snapshot in kept:
        numbers = [int(getattr(snapshot, name)) for name in NUMBERS]
        words = (snapshot.cells, snapshot.entities & entity.REMEMBERED_BITS, np.array(numbers, np.uint32))
        rows.append(np.concatenate(words))  # as `pack`, which would dispatch each operation
    return from_rows(rows, undo_depth)


def from_rows(kept: Sequence[np.ndarray], undo_depth: int) -> dict[str, np.ndarray | np.int32]:
    """As `from_snapshots`, of packed ones: uint32 (84,) each."""
    start = int(kept[0][_TURN]) % undo_depth if kept else 0
    rows = np.zeros((undo_depth, WORDS), np.uint32)
    for i, row in enumerate(kept):
        rows[(start + i) % undo_depth] = row
    return {"history": rows, "history_start": np.int32(start), "history_length": np.int32(len(kept))}


def changed(new: GameState, old: GameState, change: jax.Array) -> GameState:
    """The new state of one game with its history.

    Args:
        new: the state after the step, its history set aside; what it says of the history is that of before.
        old: the state before, with its history.
        change: () int32, a `Change`.
    """
    depth, length = old.undo_depth, old.history_length
    pushes, pops, clears = (change == np.int32(kind) for kind in (Change.PUSH, Change.POP, Change.CLEAR))
    forgets = pushes & (length == depth)
    start = jnp.where(pushes & (length == 0), new.turn % depth, old.history_start)

    row = jnp.where(pushes, pack(new), np.uint32(0))
    place = jnp.where(pushes | pops, (start + length - pops.astype(jnp.int32)) % depth, depth)  # `depth`: none
    # XLA writes in place only if every later access depends on this one: the turn is read after it, the loops follow.
    kept = jnp.asarray(old.history).at[place].set(row, mode="drop")
    second_oldest = (start + 1) % depth
    turn = kept[second_oldest, _TURN].astype(jnp.int32)
    next_start = jnp.where(forgets, turn % depth, start)
    kept = _arranged(
        kept,
        shift=jnp.where(forgets, (next_start - second_oldest) % depth, 0),
        first=jnp.where(clears, old.history_start, 0),
        rows=jnp.where(clears, length, 0),
    )
    next_length = length + (pushes & ~forgets).astype(jnp.int32) - pops.astype(jnp.int32)
    next_length = jnp.where(clears, 0, next_length)
    return dataclasses.replace(
        new, history=kept, history_start=jnp.where(next_length == 0, 0, next_start), history_length=next_length
    )


def restarted(state: GameState, fresh: GameState, ended: jax.Array) -> GameState:
    """The state of one game, or, where it has ended, a new one.

    Args:
        state: with its history.
        fresh: the new game, its history set aside.
        ended: () bool.
    """
    chosen = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, set_aside(state))
    rows = jnp.where(ended, state.history_length, 0)
    history = _arranged(state.history, shift=jnp.zeros_like(rows), first=state.history_start, rows=rows)
    return dataclasses.replace(chosen, history=history)


def pack(state: Snapshot) -> jax.Array:
    """What UNDO restores of one state, as words, the entities' flags off (R8.3): uint32 (84,)."""
    numbers = stacked([getattr(state, name).astype(jnp.uint32) for name in NUMBERS])
    return jnp.concatenate([state.cells, state.entities & entity.REMEMBERED_BITS, numbers])


def unpack(words: jax.Array) -> Snapshot:
    """The snapshot of packed words: uint32 (84, …) to arrays (36, …) and (…)."""
    numbers = {name: words[_FIRST_NUMBER + i] for i, name in enumerate(NUMBERS)}
    for name, word in numbers.items():
        numbers[name] = word != 0 if name in _FLAGS else word if name == "programs" else word.astype(jnp.int32)
    return Snapshot(cells=words[:NUM_CELLS], entities=words[NUM_CELLS:_FIRST_NUMBER], **numbers)


def _arranged(history: jax.Array, *, shift: jax.Array, first: jax.Array, rows: jax.Array) -> jax.Array:
    """The history of one game, its rows turned or some of them cleared. Few games of a batch need either in a step.

    Args:
        history: (D, 84) uint32.
        shift: () int32, 0 to D − 1, by how many rows all of them move up, those at the end to the beginning.
        first: () int32, the first row that is in use; where `rows` is not 0.
        rows: () int32, how many rows to clear: 0, or all that are in use.
    """
    depth = history.shape[-2]
    wraps = first + rows > depth
    below, above = jnp.where(wraps, 0, first), jnp.where(wraps, depth, first + rows)
    return _arranged_batch(history, shift, below, jnp.where(rows == 0, below, above))


@functools.partial(batched, games_last=False, in_blocks=False)
def _arranged_batch(histories: jax.Array, shift: jax.Array, below: jax.Array, above: jax.Array) -> jax.Array:
    """As `_arranged`: (N, D, 84), and (N,) each. The rows from `below` to before `above` are cleared."""
    depth = histories.shape[1]
    if not on_cpu():  # one pass over the memory takes less time there than the turns of a loop
        index = np.arange(depth, dtype=np.int32)[None]
        turned = jnp.take_along_axis(histories, ((index - shift[:, None]) % depth)[..., None], axis=1)
        is_cleared = (index >= below[:, None]) & (index < above[:, None])
        return jnp.where(is_cleared[..., None], np.uint32(0), turned)
    number_turned, find_turned = finder(shift > 0)
    number_cleared, find_cleared = finder(above > below)
    height = min(depth, _CLEARED_AT_ONCE)
    zeros = jnp.zeros((1, height, WORDS), jnp.uint32)

    def turn(k: jax.Array, histories: jax.Array) -> jax.Array:
        game = find_turned(k[None])[0]
        history = lax.dynamic_index_in_dim(histories, game, keepdims=False)
        turned = lax.dynamic_slice_in_dim(jnp.concatenate([history, history]), depth - shift[game], depth)
        return lax.dynamic_update_index_in_dim(histories, turned, game, 0)

    def clear(k: jax.Array, histories: jax.Array) -> jax.Array:
        game = find_cleared(k[None])[0]

        def clear_rows(part: jax.Array, histories: jax.Array) -> jax.Array:
            return lax.dynamic_update_slice(histories, zeros, (game, part * height, jnp.int32(0)))

        return lax.fori_loop(below[game] // height, (above[game] + height - 1) // height, clear_rows, histories)

    histories = lax.fori_loop(0, number_turned, turn, histories)
    return lax.fori_loop(0, number_cleared, clear, histories)
