"""Which actions are valid (R4.1, the column "applicable when" of R7)."""

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import board
from hackmatrix_core.game.occupancy import Occupancy
from hackmatrix_core.game.state import (
    ANTI_V,
    ATK_PLUS,
    BLOCK_SPAWN,
    CALM,
    COL,
    CRASH,
    D_BOM,
    DAEMON,
    DEBUG,
    DELAY,
    EXCH,
    FIRST_PROGRAM_ACTION,
    HACK,
    MAX_HP,
    NUM_ACTIONS,
    NUM_STAGES,
    POLY,
    PROGRAMS,
    PULL,
    PUSH,
    REDUC,
    RESET,
    ROW,
    SCORE,
    SHOW,
    SIPH_PLUS,
    SIPHON,
    STEP,
    UNDO,
    VIRUS,
    WAIT,
    WARP,
    GameState,
)
from hackmatrix_core.game.vectorization import reductions

CREDITS = np.array([program.credits for program in PROGRAMS], np.int32)
ENERGY = np.array([program.energy for program in PROGRAMS], np.int32)
_DIRECTION_BITS = np.arange(4, dtype=np.uint32)[:, None]
_ACTION_BITS = np.arange(NUM_ACTIONS, dtype=np.uint32)[:, None]


def valid_actions(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The valid actions as a set, by R4.1: uint32 (N,), bit i is action i."""
    owned = state.programs << FIRST_PROGRAM_ACTION
    paid = _paid(state.credits, CREDITS) & _paid(state.energy, ENERGY)
    return (
        _directions(state, occupancy)
        | _where(state.data_siphons > 0, SIPHON)
        | (owned & paid & _applicable(state, occupancy))
    )


def as_mask(actions: jax.Array) -> jax.Array:
    """The action mask of sets of actions: uint32 (N,) to bool (28, N)."""
    return ((actions[None] >> _ACTION_BITS) & 1) != 0


def _set_of(*actions: int) -> np.uint32:
    return np.uint32(sum(1 << action for action in actions))


def _where(condition: jax.Array, *actions: int) -> jax.Array:
    """These actions where the condition holds, else none."""
    return jnp.where(condition, _set_of(*actions), np.uint32(0))


def _directions(state: GameState, occupancy: Occupancy) -> jax.Array:
    cell = board.neighbour_cells(state.position)
    is_open = (cell >= 0) & (~board.contains(occupancy.blocks, cell) | board.contains(occupancy.enemies, cell))
    return jnp.sum(is_open.astype(jnp.uint32) << _DIRECTION_BITS, axis=0, dtype=jnp.uint32)


def _paid(amount: jax.Array, prices: np.ndarray) -> jax.Array:
    """The programs whose price is not above the amount: int32 (N,) to a set."""
    paid = jnp.zeros(amount.shape, jnp.uint32)
    for price in np.unique(prices):
        paid = paid | _where(amount >= price, *(np.flatnonzero(prices == price) + FIRST_PROGRAM_ACTION))
    return paid


def _applicable(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The programs that could be run if they were owned and paid for."""

    def any_in(cells: jax.Array) -> jax.Array:
        return ~board.is_empty(cells)

    near = board.around(occupancy.player) & ~occupancy.player
    to_reduce = occupancy.blocks & ~occupancy.siphoned & board.from_mask(BLOCK_SPAWN.test(state.cells))
    return (
        _set_of(WAIT, STEP, SIPH_PLUS, EXCH)  # always: the cost of exch is its condition
        | _where(any_in(occupancy.enemies), PUSH, PULL, WARP, POLY)
        | _where(any_in(occupancy.transmissions), WARP, DELAY)
        | _where(any_in(near & (occupancy.blocks | occupancy.enemies | occupancy.transmissions)), CRASH)
        | _where(any_in(occupancy.enemies & occupancy.blocks), DEBUG)
        | _where(state.history_length > 0, UNDO)
        | _where(~state.show, SHOW)
        | _where(state.hp < MAX_HP, RESET)
        | _where(~state.calm, CALM)
        | _where(state.stage < NUM_STAGES, SCORE)
        | _where(any_in(to_reduce), REDUC)
        | _where(state.atk_plus_uses < 2, ATK_PLUS)
        | _where(any_in(occupancy.siphoned), HACK)
        | reductions.union(jnp.where(occupancy.is_enemy, _aimed_at(state, occupancy), np.uint32(0)))
    )


def _aimed_at(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The programs that each enemy alone makes applicable: a set (36, N)."""
    in_row = board.row_of(occupancy.cell) == board.row_of(state.position)[None]
    in_col = board.col_of(occupancy.cell) == board.col_of(state.position)[None]
    by_type = _where(occupancy.type == DAEMON, D_BOM) | _where(occupancy.type == VIRUS, ANTI_V)
    return _where(in_row, ROW) | _where(in_col, COL) | by_type
