"""What the agent sees (R11), as small integers and as the float32 values of the original.

All values of an observation are small integers divided by a constant of their place. The compact form holds these
integers: a quarter of the memory, and what a rollout should store.

| slice | content |
|---|---|
| 0–9 | player: row, col, hp, credits, energy, stage, data_siphons, attack, show, calm |
| 10–32 | owned programs |
| 33 + 42 × cell + k | k as in R11, cells row by row from (0,0) |
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board
from hackmatrix_core.game.batching import apart
from hackmatrix_core.game.state import (
    BLOCK_SPAWN,
    BLOCK_VALUE,
    CELL,
    CONTENT,
    CRYPTOG,
    DATA_BLOCK,
    DATA_SIPHON,
    ENEMY,
    EXIT,
    FROM_SIPHON,
    HIDDEN,
    HP,
    IS_ENERGY,
    KIND,
    NUM_CELLS,
    NUM_PROGRAMS,
    PROGRAM_BLOCK,
    RESOURCE,
    SIPHON_CENTER,
    SIPHONED,
    STUNNED,
    TIMER,
    TRANSMISSION,
    TYPE,
    GameState,
)

PLAYER_VALUES = 10
CELL_VALUES = 42
OBSERVATION_SIZE = PLAYER_VALUES + NUM_PROGRAMS + NUM_CELLS * CELL_VALUES
_CELL_DIVISOR = np.ones(CELL_VALUES, np.float32)
_CELL_DIVISOR[[4, 10, 35, 36, 37, 38]] = [3, 9, 9, 4, 3, 3]
OBSERVATION_DIVISOR = np.concatenate(
    [
        np.array([5, 5, 3, 50, 50, 7, 10, 2, 1, 1], np.float32),
        np.ones(NUM_PROGRAMS, np.float32),
        np.tile(_CELL_DIVISOR, NUM_CELLS),
    ]
)
"""(1545,) float32: an observation is its compact form divided by this."""

# Places of the planes that are not one-hot programs, in the word that `_cell_words` packs: (plane, shift, width).
_PLACES = (
    (0, 0, 1), (1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 2), (5, 6, 1), (6, 7, 1), (7, 8, 1), (8, 9, 1), (9, 10, 1),
    (10, 11, 4), (11, 15, 1), (35, 16, 4), (36, 20, 3), (39, 23, 1), (40, 24, 1), (41, 25, 1),
)  # fmt: skip


def compact(state: GameState) -> jax.Array:
    """The compact observation: uint8 (1545, N) for games along the last axis. Counts above 255 read as 255."""
    words, programs, resources = (word.T for word in apart(_cell_words)(state))
    plane = np.arange(CELL_VALUES)[None, None]
    shift, width = np.zeros_like(plane, np.uint32), np.zeros_like(plane, np.uint32)
    for place, at, bits in _PLACES:
        shift[..., place], width[..., place] = at, (1 << bits) - 1
    is_program, is_resource = (plane >= 12) & (plane < 35), (plane == 37) | (plane == 38)
    shift[is_program], width[is_program] = np.arange(NUM_PROGRAMS), 1
    shift[is_resource], width[is_resource] = [0, 8], 255
    word = jnp.where(is_program, programs[..., None], jnp.where(is_resource, resources[..., None], words[..., None]))
    cells = ((word >> shift) & width).astype(jnp.uint8).reshape(words.shape[0], -1)
    return jnp.concatenate([_player_values(state), cells], axis=1).T


def decode(observation: jax.Array) -> jax.Array:
    """The observation of a compact one: uint8 (…, 1545) to float32 (…, 1545)."""
    divisor = OBSERVATION_DIVISOR.reshape((1,) * (observation.ndim - 1) + (OBSERVATION_SIZE,))
    return observation.astype(jnp.float32) / divisor


def observe(state: GameState) -> jax.Array:
    """The observation: float32 (1545, N) for games along the last axis."""
    return decode(compact(state).T).T


def _player_values(state: GameState) -> jax.Array:
    values = jnp.stack(
        [
            board.row_of(state.position),
            board.col_of(state.position),
            state.hp,
            jnp.minimum(state.credits, 50),
            jnp.minimum(state.energy, 50),
            state.stage - 1,
            jnp.minimum(state.data_siphons, 255),
            jnp.minimum(state.attack - 1, 255),
            state.show.astype(jnp.int32),
            state.calm.astype(jnp.int32),
        ],
        axis=1,
    )
    owned = (state.programs[:, None] >> np.arange(NUM_PROGRAMS, dtype=np.uint32)[None]) & 1
    return jnp.concatenate([values.astype(jnp.uint8), owned.astype(jnp.uint8)], axis=1)


def _cell_words(state: GameState) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Per cell: the packed planes, the one-hot program, and credits | energy << 8; uint32 (36, N) each."""
    content, hidden, siphoned = CONTENT.get(state.cells), HIDDEN.test(state.cells), SIPHONED.test(state.cells)
    is_data, is_program = content == DATA_BLOCK, content == PROGRAM_BLOCK
    is_block, shown = is_data | is_program, ~hidden
    value = BLOCK_VALUE.get(state.cells)

    enemy, transmission = _first_entities(state.entities)
    cell = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    in_line = (board.row_of(cell) == board.row_of(state.position)[None]) | (
        board.col_of(cell) == board.col_of(state.position)[None]
    )
    visible = (KIND.get(enemy) == ENEMY) & ((TYPE.get(enemy) != CRYPTOG) | in_line | state.show[None])
    turns = jnp.minimum(TIMER.get(transmission), 4)

    def where(condition: jax.Array, number: jax.Array) -> jax.Array:
        return jnp.where(condition, number, 0).astype(jnp.uint32)

    words = (
        where(visible, 1 << TYPE.get(enemy))
        | where(visible, HP.get(enemy)) << 4
        | (visible & STUNNED.test(enemy)).astype(jnp.uint32) << 6
        | (visible & FROM_SIPHON.test(enemy)).astype(jnp.uint32) << 7
        | (is_data & shown).astype(jnp.uint32) << 8
        | (is_program & shown).astype(jnp.uint32) << 9
        | (is_block & hidden).astype(jnp.uint32) << 10
        | where(is_data & shown, value) << 11
        | (is_block & siphoned).astype(jnp.uint32) << 15
        | where(is_block & shown, BLOCK_SPAWN.get(state.cells)) << 16
        | turns.astype(jnp.uint32) << 20
        | (content == DATA_SIPHON).astype(jnp.uint32) << 23
        | (content == EXIT).astype(jnp.uint32) << 24
        | SIPHON_CENTER.test(state.cells).astype(jnp.uint32) << 25
    )
    programs = jnp.where(is_program & shown, np.uint32(1) << value.astype(jnp.uint32), np.uint32(0))
    amount = where(~is_block | siphoned, RESOURCE.get(state.cells))
    resources = amount << jnp.where(IS_ENERGY.test(state.cells), np.uint32(8), np.uint32(0))
    return words, programs, resources


def _first_entities(entities: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The word of the first enemy and of the first transmission on each cell, 0 for none: uint32 (36, N) each."""
    cell = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    used = jnp.max(jnp.where(entities != 0, np.arange(entities.shape[0], dtype=np.int32)[:, None] + 1, 0))

    def place(i: jax.Array, planes: jax.Array) -> jax.Array:
        # From the last slot to the first, so that the first of a cell is what remains.
        word = lax.dynamic_index_in_dim(entities, used - 1 - i, keepdims=False)
        kind = jnp.stack([KIND.get(word) == ENEMY, KIND.get(word) == TRANSMISSION])
        here = (CELL.get(word)[None] == cell)[None] & kind[:, None]
        return jnp.where(here, word[None, None], planes)

    planes = lax.fori_loop(0, used, place, jnp.zeros((2, NUM_CELLS, entities.shape[1]), jnp.uint32))
    return planes[0], planes[1]
