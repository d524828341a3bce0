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
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, cell, entity
from hackmatrix_core.game.actions import NUM_PROGRAMS, PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.state import BOARD_SIZE, NUM_CELLS, GameState
from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.batching import batched, uninlined
from hackmatrix_core.game.vectorization.loops import for_used
from hackmatrix_core.game.vectorization.rows import stacked


class _PlayerValue(NamedTuple):
    name: str
    field: str  # of the state
    first: int  # what reads as 0
    most: int
    divisor: int


class _Channel(NamedTuple):
    name: str
    bits: int = 1
    divisor: int = 1


def _shifts(word: Sequence[_Channel]) -> np.ndarray:
    """Where each value begins in its word."""
    return np.cumsum([0, *(channel.bits for channel in word[:-1])])


_PLAYER = (
    _PlayerValue("row", "position", 0, 35, 5),
    _PlayerValue("col", "position", 0, 35, 5),
    _PlayerValue("hp", "hp", 0, 3, 3),
    _PlayerValue("credits", "credits", 0, 50, 50),
    _PlayerValue("energy", "energy", 0, 50, 50),
    _PlayerValue("stage", "stage", 1, 7, 7),
    _PlayerValue("data_siphons", "data_siphons", 0, 255, 10),
    _PlayerValue("attack", "attack", 1, 255, 2),
    _PlayerValue("show", "show", 0, 1, 1),
    _PlayerValue("calm", "calm", 0, 1, 1),
)
# The values of a cell, in their order, from three words that hold them, lowest bits first.
_WORDS = (
    (
        *map(_Channel, ENEMY_NAMES), _Channel("hp", 2, 3), _Channel("stunned"), _Channel("from_siphon"),
        _Channel("data_block"), _Channel("program_block"), _Channel("hidden_block"), _Channel("points", 4, 9),
        _Channel("siphoned"),
    ),
    tuple(map(_Channel, PROGRAM_NAMES)),
    (
        _Channel("spawn", 4, 9), _Channel("transmission", 3, 4), _Channel("credits", 8, 3), _Channel("energy", 8, 3),
        _Channel("data_siphon"), _Channel("exit"), _Channel("siphon_center"),
    ),
)  # fmt: skip
_CHANNELS = tuple(channel for word in _WORDS for channel in word)
PLAYER_NAMES = tuple(value.name for value in _PLAYER)
CHANNEL_NAMES = tuple(channel.name for channel in _CHANNELS)
"""The 42 values of a cell, in their order (R11). `hp`, `stunned` and `from_siphon` are those of the enemy there."""
PLAYER_VALUES, CELL_VALUES = len(PLAYER_NAMES), len(CHANNEL_NAMES)
OBSERVATION_SIZE = PLAYER_VALUES + NUM_PROGRAMS + NUM_CELLS * CELL_VALUES
OBSERVATION_SCALE = np.float32(1) / np.array(
    [value.divisor for value in _PLAYER] + [1] * NUM_PROGRAMS + [channel.divisor for channel in _CHANNELS] * NUM_CELLS,
    np.float32,
)
"""(1545,) float32: an observation is its compact form times this. A product, because XLA turns division by a constant
into one, and the numbers must be the same compiled or not."""

# By value of a cell, shape (1, 1, 42): the word that holds it, its place there, its largest value.
_WORD = np.repeat(np.arange(3), [len(word) for word in _WORDS])[None, None]
_SHIFT = np.concatenate([_shifts(word) for word in _WORDS]).astype(np.uint32)[None, None]
_LIMIT = np.array([(1 << channel.bits) - 1 for channel in _CHANNELS], np.uint32)[None, None]


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
    numbers = stacked([getattr(state, value.field).astype(jnp.int32) for value in _PLAYER])
    first, most = (
        np.array(limits, np.int32)[:, None] for limits in zip(*((v.first, v.most) for v in _PLAYER), strict=True)
    )
    # All of them as one array, because each small array would be a separate kernel.
    counted = jnp.minimum(numbers - first, most)
    is_row, is_col = (np.array([[value.name == name] for value in _PLAYER]) for name in ("row", "col"))
    values = jnp.where(is_row, board.row_of(numbers), jnp.where(is_col, board.col_of(numbers), counted))
    return values.astype(jnp.uint8)


def _cell_words(state: GameState) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Per cell the three words of `_WORDS`: uint32 (36, N) each."""
    content, hidden = cell.CONTENT.get(state.cells), cell.HIDDEN.test(state.cells)
    siphoned, is_energy = cell.SIPHONED.test(state.cells), cell.IS_ENERGY.test(state.cells)
    is_data, is_program = content == cell.DATA_BLOCK, content == cell.PROGRAM_BLOCK
    is_block, shown = is_data | is_program, ~hidden
    value = cell.BLOCK_VALUE.get(state.cells)

    enemy, transmission = _first_entities(state.entities)
    enemy_type = entity.TYPE.get(enemy)
    index = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    in_line = (board.row_of(index) == board.row_of(state.position)[None]) | (
        board.col_of(index) == board.col_of(state.position)[None]
    )
    visible = (entity.KIND.get(enemy) == entity.ENEMY) & ((enemy_type != entity.CRYPTOG) | in_line | state.show[None])

    def where(condition: jax.Array, number: jax.Array) -> jax.Array:
        return jnp.where(condition, number, 0)

    amount = where(~is_block | siphoned, cell.RESOURCE.get(state.cells))
    first = _packed(
        _WORDS[0],
        *(visible & (enemy_type == one) for one in range(4)),
        where(visible, entity.HP.get(enemy)),
        visible & entity.STUNNED.test(enemy),
        visible & entity.FROM_SIPHON.test(enemy),
        is_data & shown,
        is_program & shown,
        is_block & hidden,
        where(is_data & shown, value),
        is_block & siphoned,
    )
    programs = jnp.where(is_program & shown, np.uint32(1) << value.astype(jnp.uint32), np.uint32(0))
    last = _packed(
        _WORDS[2],
        where(is_block & shown, cell.BLOCK_SPAWN.get(state.cells)),
        jnp.minimum(entity.TIMER.get(transmission), 4),
        where(~is_energy, amount),
        where(is_energy, amount),
        content == cell.DATA_SIPHON,
        content == cell.EXIT,
        cell.SIPHON_CENTER.test(state.cells),
    )
    return first, programs, last


def _packed(word: Sequence[_Channel], *values: jax.Array) -> jax.Array:
    placed = (value.astype(jnp.uint32) << int(shift) for value, shift in zip(values, _shifts(word), strict=True))
    return sum(placed)  # type: ignore[return-value]  # not empty


def _first_entities(entities: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The word of the first enemy and of the first transmission on each cell, 0 for none: uint32 (36, N) each."""
    index = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    if on_gpu():  # two reductions are two kernels, where a loop over slots is many
        slot = np.arange(entities.shape[0], dtype=np.int32)[:, None, None]
        kind = jnp.stack([entity.KIND.get(entities) == entity.ENEMY, entity.KIND.get(entities) == entity.TRANSMISSION])
        here = (entity.CELL.get(entities)[:, None] == index[None])[None] & kind[:, :, None]
        first = jnp.min(jnp.where(here, slot[None], entities.shape[0]), axis=1, keepdims=True)
        words = jnp.sum(jnp.where(slot[None] == first, entities[None, :, None], 0), axis=1, dtype=jnp.uint32)
        return words[0], words[1]

    def place(slot: jax.Array, planes: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        # From the last slot to the first, so that the first of a cell is what remains.
        word = lax.dynamic_slice_in_dim(entities, slot, 1)
        here = entity.CELL.get(word) == index
        enemies, transmissions = planes
        return (
            jnp.where(here & (entity.KIND.get(word) == entity.ENEMY), word, enemies),
            jnp.where(here & (entity.KIND.get(word) == entity.TRANSMISSION), word, transmissions),
        )

    return for_used(entities != 0, place, (jnp.zeros_like(entities), jnp.zeros_like(entities)), backwards=True)
