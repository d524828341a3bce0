"""The undo history (R6.5, R8.3): the last snapshots of a game as packed words, newest first.

The rules read nothing of it but the newest snapshot, and change it in whole snapshots. So it stays outside of the batch
that the rules work on (see `batching`): they are given the newest snapshot, and tell how the history changes.
"""

import dataclasses
import enum

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game.rows import stacked
from hackmatrix_core.game.state import (
    MAX_ENTITIES,
    NUM_CELLS,
    REMEMBERED_ENTITY_BITS,
    SET_ASIDE,
    SNAPSHOT_FIELDS,
    UNDO_DEPTH,
    GameState,
    Snapshot,
)

_NUMBERS = tuple(name for name in SNAPSHOT_FIELDS if name not in ("cells", "entities"))
_FLAGS = ("show", "calm")
_FIRST_NUMBER = NUM_CELLS + MAX_ENTITIES
WORDS = _FIRST_NUMBER + len(_NUMBERS)
"""Words of a packed snapshot."""


class Change(enum.IntEnum):
    """What a step does to the history."""

    KEEP = 0
    PUSH = 1  # the present on top; the oldest is forgotten
    POP = 2  # the newest off
    CLEAR = 3  # a new game


def set_aside(state: GameState) -> GameState:
    """The state of one game without its history."""
    return dataclasses.replace(state, history=SET_ASIDE)


def with_newest(state: GameState) -> GameState:
    """The state of one game with its newest snapshot, packed, in place of the history."""
    return dataclasses.replace(state, history=state.history[0])


def empty(state: GameState) -> GameState:
    """The state of one game, whose history was set aside, with an empty one."""
    return dataclasses.replace(state, history=jnp.zeros((UNDO_DEPTH, WORDS), jnp.uint32))


def changed(state: GameState, history: jax.Array, change: jax.Array) -> GameState:
    """The state of one game with its history after the step.

    Args:
        state: the new state, its history set aside.
        history: (4, 84) uint32, that of the state before.
        change: () int32, a `Change`.
    """
    pushed = jnp.concatenate([pack(state)[None], history[:-1]])
    popped = jnp.concatenate([history[1:], jnp.zeros_like(history[:1])])
    kept = jnp.where(change == Change.CLEAR, np.uint32(0), history)
    kept = jnp.where(change == Change.PUSH, pushed, jnp.where(change == Change.POP, popped, kept))
    return dataclasses.replace(state, history=kept)


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
