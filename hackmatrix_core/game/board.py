"""Sets of cells as bitboards.

A bitboard is uint32 of shape (…, 2, N): rows 0–2 in the 18 low bits of word 0, rows 3–5 in those of word 1, N games
along the last axis. Cell (row, col) has the index row × 6 + col.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import cell
from hackmatrix_core.game.actions import DIRECTIONS
from hackmatrix_core.game.state import BOARD_SIZE, NUM_CELLS
from hackmatrix_core.game.vectorization import reductions
from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.sparse import nth_bit

Cells = TypeVar("Cells", jax.Array, np.ndarray)
WORD_CELLS = NUM_CELLS // 2
ALL = np.uint32((1 << WORD_CELLS) - 1)
_OFFSET = np.array([[0], [WORD_CELLS]], np.int32)
_INDEX = np.arange(WORD_CELLS, dtype=np.uint32)[None, :, None]
_BEFORE = np.array(
    [[(1 << min(i, WORD_CELLS)) - 1, (1 << max(i - WORD_CELLS, 0)) - 1] for i in range(NUM_CELLS)], np.uint32
)[..., None]  # for each cell the cells before it
_LAST_ROW = WORD_CELLS - BOARD_SIZE  # the first bit of a word's last row
_SPREADS_AT_ONCE = 7
_LEFT_EDGE, _RIGHT_EDGE = np.uint32(0b000001_000001_000001), np.uint32(0b100000_100000_100000)


def row_of(cell: Cells) -> Cells:
    """The row of each cell index, int32 of the same shape."""
    return (cell * 43) >> 8  # cell // 6 for 0–63, in the two operations that every backend vectorises


def col_of(cell: Cells) -> Cells:
    """The column of each cell index, int32 of the same shape."""
    return cell - row_of(cell) * BOARD_SIZE


def manhattan(first: jax.Array, second: jax.Array) -> jax.Array:
    """Manhattan distance of cell indices, int32."""
    return jnp.abs(row_of(first) - row_of(second)) + jnp.abs(col_of(first) - col_of(second))


def bit(cell: jax.Array) -> jax.Array:
    """The bitboard of one cell; (…, N) int32 to (…, 2, N). Empty for a negative index."""
    return (np.uint32(1) << (jnp.expand_dims(cell, -2) - _offset(cell.ndim + 1)).astype(jnp.uint32)) & ALL


def contains(board: jax.Array, cell: jax.Array) -> jax.Array:
    """Whether the cells are in the board: (2, N), (…, N) int32 to bool (…, N). False for a negative index."""
    board = board.reshape((1,) * (cell.ndim - 1) + board.shape)
    shifted = board >> (jnp.expand_dims(cell, -2) - _offset(cell.ndim + 1)).astype(jnp.uint32)
    return ((shifted[..., 0, :] | shifted[..., 1, :]) & 1) != 0


def from_mask(mask: jax.Array) -> jax.Array:
    """The bitboard of a mask over cells: bool (…, 36, N) to (…, 2, N)."""
    halves = mask.reshape(*mask.shape[:-2], 2, WORD_CELLS, mask.shape[-1]).astype(jnp.uint32)
    return jnp.sum(halves << _INDEX.reshape((1,) * (halves.ndim - 2) + (WORD_CELLS, 1)), axis=-2, dtype=jnp.uint32)


def to_mask(board: jax.Array) -> jax.Array:
    """The mask over cells of a bitboard: (2, N) to bool (36, N)."""
    return (((board[:, None] >> _INDEX) & 1) != 0).reshape(NUM_CELLS, -1)


def union(cells: jax.Array, keep: jax.Array) -> jax.Array:
    """The bitboard of those cells that are kept: (36, N) int32, bool (36, N) to (2, N)."""
    boards = jnp.where(keep[:, None], bit(cells), np.uint32(0))
    return reductions.union(boards)


def blocks(cells: jax.Array) -> jax.Array:
    """The cells with a block: packed cells (36, N) to (2, N)."""
    content = cell.CONTENT.get(cells)
    return from_mask((content == cell.DATA_BLOCK) | (content == cell.PROGRAM_BLOCK))


def up(board: jax.Array) -> jax.Array:
    """Every cell one row up; what leaves the board is gone. Likewise `down`, `left` and `right`."""
    return ((board << BOARD_SIZE) & ALL) | _in_word(1, board[..., :1, :] >> _LAST_ROW)


def down(board: jax.Array) -> jax.Array:
    """Every cell one row down."""
    return (board >> BOARD_SIZE) | _in_word(0, (board[..., 1:, :] << _LAST_ROW) & ALL)


def _in_word(which: int, row: jax.Array) -> jax.Array:
    """A row of cells, (…, 1, N), in one of the two words: (…, 2, N). Not a concatenation, which XLA does not fuse."""
    return row & np.where(np.arange(2) == which, ALL, 0).astype(np.uint32).reshape((1,) * (row.ndim - 2) + (2, 1))


def left(board: jax.Array) -> jax.Array:
    """Every cell one column left."""
    return (board & ~_LEFT_EDGE) >> 1


def right(board: jax.Array) -> jax.Array:
    """Every cell one column right."""
    return (board & ~_RIGHT_EDGE) << 1


SHIFTS = (up, down, left, right)
"""The shifts in the order of the directions (R1.1)."""


def neighbours(board: jax.Array) -> jax.Array:
    """All orthogonal neighbours of the board's cells (which may be among them)."""
    return up(board) | down(board) | left(board) | right(board)


def around(board: jax.Array) -> jax.Array:
    """The 8 cells around each of the board's cells, and those cells themselves."""
    sideways = board | left(board) | right(board)
    return sideways | up(sideways) | down(sideways)


def count(board: jax.Array) -> jax.Array:
    """The number of cells in a board: (…, 2, N) to int32 (…, N)."""
    counts = lax.population_count(board).astype(jnp.int32)
    return counts[..., 0, :] + counts[..., 1, :]


def number_before(board: jax.Array) -> jax.Array:
    """For each cell the number of the board's cells before it: (…, 2, N) to int32 (…, 36, N)."""
    return count(jnp.expand_dims(board, -3) & _BEFORE.reshape((1,) * (board.ndim - 2) + _BEFORE.shape))


def is_empty(board: jax.Array) -> jax.Array:
    """Whether a board has no cell: (…, 2, N) to bool (…, N)."""
    return (board[..., 0, :] | board[..., 1, :]) == 0


def nth(board: jax.Array, n: jax.Array) -> jax.Array:
    """The index of the n-th cell of a board, counted from 0: (2, N), int32 (N,) to int32 (N,). n is below the count."""
    in_low = lax.population_count(board[0]).astype(jnp.int32)
    use_high = n >= in_low
    word = jnp.where(use_high, board[1], board[0])
    n = jnp.where(use_high, n - in_low, n)
    return jnp.where(use_high, WORD_CELLS, 0) + nth_bit(word, n)


def neighbour_cells(cell: jax.Array) -> jax.Array:
    """The cells next to a cell in direction order, −1 where the board ends: (…, N) int32 to (4, …, N)."""
    steps = DIRECTIONS.reshape(4, 2, *(1,) * cell.ndim)
    rows, cols = row_of(cell)[None] + steps[:, 0], col_of(cell)[None] + steps[:, 1]
    return cell_at(rows, cols)


def cell_at(row: jax.Array, col: jax.Array) -> jax.Array:
    """The index of (row, col), −1 off the board; int32."""
    on_board = (row >= 0) & (row < BOARD_SIZE) & (col >= 0) & (col < BOARD_SIZE)
    return jnp.where(on_board, row * BOARD_SIZE + col, -1)


def line_of_fire(position: jax.Array, obstacles: jax.Array) -> jax.Array:
    """The cells in the player's row and column with no obstacle strictly between (R6.4): (N,), (2, N) to (2, N)."""
    start = bit(position)
    line = jnp.zeros_like(start)
    for shift in SHIFTS:
        ray = shift(start)
        for _ in range(BOARD_SIZE - 1):
            line = line | ray
            ray = shift(ray & ~obstacles)
    return line


def walking_distance(start: jax.Array, goal: jax.Array, walls: jax.Array) -> jax.Array:
    """The length of the shortest orthogonal path over cells that are not walls.

    Args:
        start: bitboard (2, N) of one cell; it may be a wall.
        goal: likewise.
        walls: bitboard (2, N).

    Returns:
        int32 (N,) steps; 0 also where no path exists.
    """
    reached, steps = flood(start, ~walls | goal, goal)
    return jnp.where(is_empty(reached & goal), 0, steps)


def flood(start: jax.Array, open_cells: jax.Array, goals: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Spread to the open neighbours of what is reached, step by step, until a goal is among it or nothing is new.

    Args:
        start: bitboards (…, 2, N), which need not be open.
        open_cells: likewise.
        goals: likewise.

    Returns:
        What is reached then, bitboards (…, 2, N), and the steps that it took, int32 (…, N).
    """
    if on_gpu():
        return _flood_of_fixed_length(start, open_cells, goals)

    def spreading(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return carry[2]

    def spread(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        reached, steps, _ = carry
        grown = reached | (neighbours(reached) & open_cells)
        grown = jnp.where(jnp.expand_dims(is_empty(reached & goals), -2), grown, reached)
        grows = ~is_empty(grown ^ reached)
        return grown, steps + grows.astype(jnp.int32), reductions.anywhere(grows)

    init = (start, jnp.zeros((*start.shape[:-2], start.shape[-1]), jnp.int32), jnp.array(True))
    reached, steps, _ = lax.while_loop(spreading, spread, init)
    return reached, steps


def _flood_of_fixed_length(start: jax.Array, open_cells: jax.Array, goals: jax.Array) -> tuple[jax.Array, jax.Array]:
    """As `flood`, in few kernels: no path has more cells than the board, and each word is an array of its own."""
    (low, high), (open_low, open_high), (goals_low, goals_high) = (
        (x[..., 0, :], x[..., 1, :]) for x in (start, open_cells, goals)
    )

    def spread(_: int, carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        low, high, steps = carry
        spreads = ((low & goals_low) | (high & goals_high)) == 0
        beside_low = ((low << BOARD_SIZE) & ALL) | (low >> BOARD_SIZE) | ((high << _LAST_ROW) & ALL) | _sideways(low)
        beside_high = ((high << BOARD_SIZE) & ALL) | (low >> _LAST_ROW) | (high >> BOARD_SIZE) | _sideways(high)
        new_low = jnp.where(spreads, beside_low & open_low & ~low, np.uint32(0))
        new_high = jnp.where(spreads, beside_high & open_high & ~high, np.uint32(0))
        return low | new_low, high | new_high, steps + ((new_low | new_high) != 0).astype(jnp.int32)

    init = (low, high, jnp.zeros(low.shape, jnp.int32))
    low, high, steps = lax.fori_loop(0, NUM_CELLS - 1, spread, init, unroll=_SPREADS_AT_ONCE)
    return jnp.stack([low, high], axis=-2), steps


def _sideways(word: jax.Array) -> jax.Array:
    return left(word) | right(word)


def _offset(rank: int) -> np.ndarray:
    return _OFFSET.reshape((1,) * (rank - 2) + _OFFSET.shape)
