"""Which actions are valid (R4.1, the column "applicable when" of R7)."""

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import board
from hackmatrix_core.game.sparse import any_slot
from hackmatrix_core.game.state import (
    BLOCK_SPAWN,
    DAEMON,
    MAX_HP,
    NUM_PROGRAMS,
    NUM_STAGES,
    PROGRAMS,
    VIRUS,
    GameState,
)
from hackmatrix_core.game.view import View

CREDITS = np.array([program.credits for program in PROGRAMS], np.int32)
ENERGY = np.array([program.energy for program in PROGRAMS], np.int32)
_PROGRAM_INDEX = np.arange(NUM_PROGRAMS, dtype=np.uint32)


def valid_actions(state: GameState, seen: View) -> jax.Array:
    """The action mask: bool (28, N), by R4.1."""
    owned = ((state.programs[None] >> _PROGRAM_INDEX[:, None]) & 1) != 0
    paid = (state.credits[None] >= CREDITS[:, None]) & (state.energy[None] >= ENERGY[:, None])
    siphon = (state.data_siphons > 0)[None]
    return jnp.concatenate([_directions(state, seen), siphon, owned & paid & _applicable(state, seen)])


def _directions(state: GameState, seen: View) -> jax.Array:
    cell = board.neighbour_cells(state.position)
    return (cell >= 0) & (~board.contains(seen.blocks, cell) | board.contains(seen.enemies, cell))


def _applicable(state: GameState, seen: View) -> jax.Array:
    def any_in(cells: jax.Array) -> jax.Array:
        return ~board.is_empty(cells)

    always = jnp.ones_like(state.show)
    any_enemy, any_transmission = any_in(seen.enemies), any_in(seen.transmissions)
    near = board.around(seen.player) & ~seen.player
    enemy_row, player_row = board.row_of(seen.cell), board.row_of(state.position)
    in_row = any_slot(seen.is_enemy & (enemy_row == player_row[None]))
    enemy_col, player_col = board.col_of(seen.cell), board.col_of(state.position)
    in_col = any_slot(seen.is_enemy & (enemy_col == player_col[None]))
    to_reduce = seen.blocks & ~seen.siphoned & board.from_mask(BLOCK_SPAWN.test(state.cells))
    return jnp.stack(
        [
            any_enemy,  # push
            any_enemy,  # pull
            any_in(near & (seen.blocks | seen.enemies | seen.transmissions)),  # crash
            any_enemy | any_transmission,  # warp
            any_enemy,  # poly
            always,  # wait
            any_in(seen.enemies & seen.blocks),  # debug
            in_row,  # row
            in_col,  # col
            state.history_length > 0,  # undo
            always,  # step
            always,  # siph+
            always,  # exch: its cost is its condition
            ~state.show,  # show
            state.hp < MAX_HP,  # reset
            ~state.calm,  # calm
            any_slot(seen.is_enemy & (seen.type == DAEMON)),  # d_bom
            any_transmission,  # delay
            any_slot(seen.is_enemy & (seen.type == VIRUS)),  # anti-v
            state.stage < NUM_STAGES,  # score
            any_in(to_reduce),  # reduc
            state.atk_plus_uses < 2,  # atk+
            any_in(seen.siphoned),  # hack
        ]
    )
