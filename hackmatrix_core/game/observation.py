"""What the agent sees (R11), as small integers and as the float32 values of the original.

All values of an observation are small integers times a constant of their place. The compact form holds these
integers: a quarter of the memory, and what a rollout should store.

| slice | content |
|---|---|
| 0–9 | player: row, col, hp, credits, energy, stage, data_siphons, attack, show, calm |
| 10–32 | owned programs |
| 33 + 42 × cell + k | channel k of `CHANNEL_NAMES`, cells row by row from (0,0) |
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board
from hackmatrix_core.game.state import (
    BLOCK_SPAWN,
    BLOCK_VALUE,
    BOARD_SIZE,
    CELL,
    CONTENT,
    CRYPTOG,
    DATA_BLOCK,
    DATA_SIPHON,
    ENEMY,
    ENEMY_NAMES,
    EXIT,
    FROM_SIPHON,
    HIDDEN,
    HP,
    IS_ENERGY,
    KIND,
    NUM_CELLS,
    NUM_PROGRAMS,
    PROGRAM_BLOCK,
    PROGRAM_NAMES,
    RESOURCE,
    SIPHON_CENTER,
    SIPHONED,
    STUNNED,
    TIMER,
    TRANSMISSION,
    TYPE,
    GameState,
)
from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.batching import batched, uninlined
from hackmatrix_core.game.vectorization.loops import for_used
from hackmatrix_core.game.vectorization.rows import stacked

PLAYER_VALUES = 10
CELL_VALUES = 42
OBSERVATION_SIZE = PLAYER_VALUES + NUM_PROGRAMS + NUM_CELLS * CELL_VALUES
PLAYER_NAMES = ("row", "col", "hp", "credits", "energy", "stage", "data_siphons", "attack", "show", "calm")
CHANNEL_NAMES = (
    *ENEMY_NAMES, "hp", "stunned", "from_siphon", "data_block", "program_block", "hidden_block", "points", "siphoned",
    *PROGRAM_NAMES, "spawn", "transmission", "credits", "energy", "data_siphon", "exit", "siphon_center",
)  # fmt: skip
"""The 42 values of a cell, in their order (R11). `hp`, `stunned` and `from_siphon` are those of the enemy there."""
_CELL_DIVISOR = np.ones(CELL_VALUES, np.float32)
_CELL_DIVISOR[[4, 10, 35, 36, 37, 38]] = [3, 9, 9, 4, 3, 3]
_PLAYER_DIVISOR = np.array([5, 5, 3, 50, 50, 7, 10, 2, 1, 1], np.float32)
_FIRST_COUNT = np.array([0, 0, 0, 0, 0, 1, 0, 1, 0, 0], np.int32)[:, None]
_MOST = np.array([35, 35, 3, 50, 50, 7, 255, 255, 1, 1], np.int32)[:, None]
OBSERVATION_SCALE = np.float32(1) / np.concatenate(
    [_PLAYER_DIVISOR, np.ones(NUM_PROGRAMS, np.float32), np.tile(_CELL_DIVISOR, NUM_CELLS)]
)
"""(1545,) float32: an observation is its compact form times this. A product, because XLA turns division by a constant
into one, and the numbers must be the same compiled or not."""

# The 42 values of a cell come from three words: widths in bits of the values that each holds, lowest bits first.
_FIRST_WIDTHS = (1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 4, 1)  # values 0–11
_PROGRAM_WIDTHS = (1,) * NUM_PROGRAMS  # values 12–34
_LAST_WIDTHS = (4, 3, 8, 8, 1, 1, 1)  # values 35–41
_WIDTHS = (_FIRST_WIDTHS, _PROGRAM_WIDTHS, _LAST_WIDTHS)
# By value, shape (1, 1, 42): the word that holds it, its place there, its largest value.
_WORD = np.repeat(np.arange(3), [len(widths) for widths in _WIDTHS])[None, None]
_SHIFT = np.concatenate([np.cumsum([0, *widths[:-1]]) for widths in _WIDTHS]).astype(np.uint32)[None, None]
_LIMIT = ((1 << np.concatenate(_WIDTHS)) - 1).astype(np.uint32)[None, None]


class Packed(NamedTuple):
    """What an observation is unpacked from: a twelfth of its numbers."""

    player: jax.Array  # (10,) uint8
    programs: jax.Array  # () uint32, as in the state
    cells: tuple[jax.Array, jax.Array, jax.Array]  # 3 × (36,) uint32


def packed(state: GameState) -> Packed:
    """The packed observation: arrays (…, N) for games along the last axis. Counts above 255 read as 255."""
    return Packed(_player_values(state), state.programs, uninlined(_cell_words)(state))


@functools.partial(batched, games_last=False)
def compact(observation: Packed) -> jax.Array:
    """The compact observation of one game: uint8 (1545,)."""
    owned = ((observation.programs[:, None] >> np.arange(NUM_PROGRAMS, dtype=np.uint32)[None]) & 1).astype(jnp.uint8)
    cells = uninlined(_cell_values)(*observation.cells)
    return jnp.concatenate([observation.player, owned, cells.reshape(cells.shape[0], -1)], axis=1)


def decode(observation: jax.Array) -> jax.Array:
    """The observation of a compact one: uint8 (…, 1545) to float32 (…, 1545)."""
    scale = OBSERVATION_SCALE.reshape((1,) * (observation.ndim - 1) + (OBSERVATION_SIZE,))
    return observation.astype(jnp.float32) * scale


class ObservationParts(NamedTuple):
    """An observation by its parts, with the leading axes and the dtype of the observation."""

    player: dict[str, jax.Array]
    """10 × (…): row, col, hp, credits, energy, stage, data_siphons, attack, show, calm, as R11 scales them."""
    programs: dict[str, jax.Array]
    """23 × (…), by the names of R7: 1 for those owned."""
    grid: jax.Array
    """(…, 6, 6, 42): row, col, channel."""
    channel_names: tuple[str, ...] = CHANNEL_NAMES
    """The names of the 42 channels, in their order."""

    def channel(self, name: str) -> jax.Array:
        """One channel of the grid by its name: (…, 6, 6).

        Raises:
            ValueError: no channel has this name.
        """
        if name not in self.channel_names:
            raise ValueError(f"no channel is named {name!r}, expected one of {', '.join(self.channel_names)}")
        return self.grid[..., self.channel_names.index(name)]


def split_observation(obs: jax.Array) -> ObservationParts:
    """The parts of an observation by their names (R11).

    Args:
        obs: (…, 1545), float32 or compact (uint8), JAX's or numpy's; any leading axes.

    Raises:
        ValueError: the last axis is not 1545 long.
    """
    if not np.shape(obs) or np.shape(obs)[-1] != OBSERVATION_SIZE:
        raise ValueError(f"obs has shape {np.shape(obs)}, expected (…, {OBSERVATION_SIZE})")
    grid = obs[..., PLAYER_VALUES + NUM_PROGRAMS :].reshape(*obs.shape[:-1], BOARD_SIZE, BOARD_SIZE, CELL_VALUES)
    return ObservationParts(
        player={name: obs[..., i] for i, name in enumerate(PLAYER_NAMES)},
        programs={name: obs[..., PLAYER_VALUES + i] for i, name in enumerate(PROGRAM_NAMES)},
        grid=grid,
    )


def _cell_values(*words: jax.Array) -> jax.Array:
    """The 42 values of each cell: 3 × uint32 (N, 36) to uint8 (N, 36, 42)."""
    first, programs, last = (word[..., None] for word in words)
    word = jnp.where(_WORD == 0, first, jnp.where(_WORD == 1, programs, last))
    return ((word >> _SHIFT) & _LIMIT).astype(jnp.uint8)


def _player_values(state: GameState) -> jax.Array:
    """The first 10 values: uint8 (10, N)."""
    names = ("position", "position", "hp", "credits", "energy", "stage", "data_siphons", "attack", "show", "calm")
    numbers = stacked([getattr(state, name).astype(jnp.int32) for name in names])
    # All of them as one array, because each small array would be a separate kernel.
    counted = jnp.minimum(numbers - _FIRST_COUNT, _MOST)
    is_row, is_col = (np.arange(PLAYER_VALUES)[:, None] == i for i in (0, 1))
    values = jnp.where(is_row, board.row_of(numbers), jnp.where(is_col, board.col_of(numbers), counted))
    return values.astype(jnp.uint8)


def _cell_words(state: GameState) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Per cell the three words of `_WIDTHS`: uint32 (36, N) each."""
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

    def where(condition: jax.Array, number: jax.Array) -> jax.Array:
        return jnp.where(condition, number, 0)

    amount = where(~is_block | siphoned, RESOURCE.get(state.cells))
    is_energy = IS_ENERGY.test(state.cells)
    first = _packed(
        _FIRST_WIDTHS,
        *(visible & (TYPE.get(enemy) == enemy_type) for enemy_type in range(4)),
        where(visible, HP.get(enemy)),
        visible & STUNNED.test(enemy),
        visible & FROM_SIPHON.test(enemy),
        is_data & shown,
        is_program & shown,
        is_block & hidden,
        where(is_data & shown, value),
        is_block & siphoned,
    )
    programs = jnp.where(is_program & shown, np.uint32(1) << value.astype(jnp.uint32), np.uint32(0))
    last = _packed(
        _LAST_WIDTHS,
        where(is_block & shown, BLOCK_SPAWN.get(state.cells)),
        jnp.minimum(TIMER.get(transmission), 4),
        where(~is_energy, amount),
        where(is_energy, amount),
        content == DATA_SIPHON,
        content == EXIT,
        SIPHON_CENTER.test(state.cells),
    )
    return first, programs, last


def _packed(widths: tuple[int, ...], *values: jax.Array) -> jax.Array:
    shifts = np.cumsum([0, *widths[:-1]])
    placed = (value.astype(jnp.uint32) << int(shift) for value, shift in zip(values, shifts, strict=True))
    return sum(placed)  # type: ignore[return-value]  # not empty


def _first_entities(entities: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The word of the first enemy and of the first transmission on each cell, 0 for none: uint32 (36, N) each."""
    cell = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    if on_gpu():  # two reductions are two kernels, where a loop over slots is many
        slot = np.arange(entities.shape[0], dtype=np.int32)[:, None, None]
        kind = jnp.stack([KIND.get(entities) == ENEMY, KIND.get(entities) == TRANSMISSION])
        here = (CELL.get(entities)[:, None] == cell[None])[None] & kind[:, :, None]
        first = jnp.min(jnp.where(here, slot[None], entities.shape[0]), axis=1, keepdims=True)
        words = jnp.sum(jnp.where(slot[None] == first, entities[None, :, None], 0), axis=1, dtype=jnp.uint32)
        return words[0], words[1]

    def place(slot: jax.Array, planes: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        # From the last slot to the first, so that the first of a cell is what remains.
        word = lax.dynamic_slice_in_dim(entities, slot, 1)
        here = CELL.get(word) == cell
        enemies, transmissions = planes
        return (
            jnp.where(here & (KIND.get(word) == ENEMY), word, enemies),
            jnp.where(here & (KIND.get(word) == TRANSMISSION), word, transmissions),
        )

    return for_used(entities != 0, place, (jnp.zeros_like(entities), jnp.zeros_like(entities)), backwards=True)
