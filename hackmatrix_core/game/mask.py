"""Which actions are valid (R4.1, the column "applicable when" of R7)."""

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import actions, board, cell, entity
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.occupancy import Occupancy
from hackmatrix_core.game.state import MAX_HP, NUM_STAGES, GameState
from hackmatrix_core.game.vectorization import reductions

_DIRECTION_BITS = np.arange(4, dtype=np.uint32)[:, None]
_ACTION_BITS = np.arange(NUM_ACTIONS, dtype=np.uint32)[:, None]


def valid_actions(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The valid actions as a set, by R4.1: uint32 (N,), bit i is action i."""
    owned = state.programs << actions.FIRST_PROGRAM
    paid = _paid(state.credits, actions.CREDITS) & _paid(state.energy, actions.ENERGY)
    return (
        _directions(state, occupancy)
        | _where(state.data_siphons > 0, actions.SIPHON)
        | (owned & paid & _applicable(state, occupancy))
    )


def as_mask(chosen: jax.Array) -> jax.Array:
    """The action mask of sets of actions: uint32 (N,) to bool (28, N)."""
    return ((chosen[None] >> _ACTION_BITS) & 1) != 0


def _where(condition: jax.Array, *numbers: int) -> jax.Array:
    """These actions where the condition holds, else none."""
    return jnp.where(condition, actions.set_of(*numbers), np.uint32(0))


def _directions(state: GameState, occupancy: Occupancy) -> jax.Array:
    goal = board.neighbour_cells(state.position)
    is_open = (goal >= 0) & (~board.contains(occupancy.blocks, goal) | board.contains(occupancy.enemies, goal))
    return jnp.sum(is_open.astype(jnp.uint32) << _DIRECTION_BITS, axis=0, dtype=jnp.uint32)


def _paid(amount: jax.Array, prices: np.ndarray) -> jax.Array:
    """The programs whose price is not above the amount: int32 (N,) to a set."""
    paid = jnp.zeros(amount.shape, jnp.uint32)
    for price in np.unique(prices):
        paid = paid | _where(amount >= price, *(np.flatnonzero(prices == price) + actions.FIRST_PROGRAM))
    return paid


def _applicable(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The programs that could be run if they were owned and paid for."""

    def any_in(cells: jax.Array) -> jax.Array:
        return ~board.is_empty(cells)

    near = board.around(occupancy.player) & ~occupancy.player
    to_reduce = occupancy.blocks & ~occupancy.siphoned & board.from_mask(cell.BLOCK_SPAWN.test(state.cells))
    return (
        # These always: the cost of exch is its condition.
        actions.set_of(actions.WAIT, actions.STEP, actions.SIPH_PLUS, actions.EXCH)
        | _where(any_in(occupancy.enemies), actions.PUSH, actions.PULL, actions.WARP, actions.POLY)
        | _where(any_in(occupancy.transmissions), actions.WARP, actions.DELAY)
        | _where(any_in(near & (occupancy.blocks | occupancy.enemies | occupancy.transmissions)), actions.CRASH)
        | _where(any_in(occupancy.enemies & occupancy.blocks), actions.DEBUG)
        | _where(state.history_length > 0, actions.UNDO)
        | _where(~state.show, actions.SHOW)
        | _where(state.hp < MAX_HP, actions.RESET)
        | _where(~state.calm, actions.CALM)
        | _where(state.stage < NUM_STAGES, actions.SCORE)
        | _where(any_in(to_reduce), actions.REDUC)
        | _where(state.atk_plus_uses < 2, actions.ATK_PLUS)
        | _where(any_in(occupancy.siphoned), actions.HACK)
        | reductions.union(jnp.where(occupancy.is_enemy, _aimed_at(state, occupancy), np.uint32(0)))
    )


def _aimed_at(state: GameState, occupancy: Occupancy) -> jax.Array:
    """The programs that each enemy alone makes applicable: a set (36, N)."""
    in_row = board.row_of(occupancy.cell) == board.row_of(state.position)[None]
    in_col = board.col_of(occupancy.cell) == board.col_of(state.position)[None]
    daemons = _where(occupancy.type == entity.DAEMON, actions.D_BOM)
    viruses = _where(occupancy.type == entity.VIRUS, actions.ANTI_V)
    return _where(in_row, actions.ROW) | _where(in_col, actions.COL) | daemons | viruses
