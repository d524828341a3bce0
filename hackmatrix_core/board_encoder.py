"""The board as the player sees it: what the network computes from an observation (R11) before its dense layers.

A dense layer on the plain observation has to learn anew for each of the 36 cells that a block to the left is a wall and
an enemy to the right a target. Here each cell first becomes a few learned features, by the same weights everywhere.
Then the board is shifted so that the player stands in the middle, and the way to the exit is laid over it.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.observation import CELL_VALUES, OBSERVATION_SIZE, PLAYER_VALUES
from hackmatrix_core.game.state import NUM_CELLS, NUM_PROGRAMS

_SIDE = 6
_VIEW = 2 * _SIDE - 1  # the shifted board has room for the player in any corner
_BLOCKS, _EXIT = slice(7, 10), 40  # values of a cell (R11): data, program and hidden block; exit
_FAR = 12.0
"""Steps to the exit that count as far; longer ways and cells without one read the same."""


class BoardEncoder(nn.Module):
    """Features of observations: float32 (…, 1545) to float32 (…, F).

    They are the 33 values of player and programs; the walking distance to the exit and, for each direction, whether it
    leads nearer; the player's cell, one-hot; and `cell_dim` learned features of each of the 11 × 11 cells around it.
    """

    cell_dim: int

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Features of each observation."""
        if observation.shape[-1] != OBSERVATION_SIZE:
            raise ValueError(
                f"cell_dim is {self.cell_dim}, and observations have {observation.shape[-1]} numbers, expected "
                f"{OBSERVATION_SIZE}: it is for the board of HackMatrix. Set cell_dim to 0 for another environment"
            )
        leading = observation.shape[:-1]
        observation = observation.reshape(-1, OBSERVATION_SIZE)
        status = observation[:, : PLAYER_VALUES + NUM_PROGRAMS]
        cells = observation[:, PLAYER_VALUES + NUM_PROGRAMS :].reshape(-1, NUM_CELLS, CELL_VALUES)
        row_and_col = jnp.round(status[:, :2] * (_SIDE - 1)).astype(jnp.int32)
        position = row_and_col[:, 0] * _SIDE + row_and_col[:, 1]

        distance = exit_distances(cells)
        around = _neighbours(distance).reshape(-1, NUM_CELLS, 4)
        distance = distance.reshape(-1, NUM_CELLS, 1)
        here = jnp.take_along_axis(distance, position[:, None, None], axis=1)[:, 0]
        nearer = jnp.take_along_axis(around, position[:, None, None], axis=1)[:, 0] < here

        on_board = jnp.ones_like(distance)
        cells = jnp.concatenate([cells, distance / _FAR, on_board], axis=-1)
        embedded = nn.relu(nn.Dense(self.cell_dim, kernel_init=nn.initializers.orthogonal(np.sqrt(2)))(cells))
        view = centred(embedded, position)
        features = [
            status,
            here / _FAR,
            nearer.astype(jnp.float32),
            jax.nn.one_hot(position, NUM_CELLS, dtype=jnp.float32),
            view.reshape(view.shape[0], -1),
        ]
        return jnp.concatenate(features, axis=-1).reshape(*leading, -1)


def exit_distances(cells: jax.Array) -> jax.Array:
    """Walking distance from each cell to the exit over cells without a block, at most 12: float32 (N, 6, 6).

    Args:
        cells: of observations, float32 (N, 36, 42). A block that stands on the exit cell does not matter (R10).
    """
    board = (-1, _SIDE, _SIDE)
    is_block = jnp.any(cells[..., _BLOCKS] > 0.5, axis=-1).reshape(board)
    start = jnp.where(cells[..., _EXIT] > 0.5, 0.0, _FAR).reshape(board)

    def nearer(_: int, distance: jax.Array) -> jax.Array:
        stepped = jnp.minimum(distance, 1.0 + jnp.min(_neighbours(distance), axis=-1))
        return jnp.where(is_block, distance, stepped)

    return lax.fori_loop(0, int(_FAR) - 1, nearer, start)


def _neighbours(distance: jax.Array) -> jax.Array:
    """The values above, below, left and right, 12 beyond the edge: float32 (N, 6, 6) to (N, 6, 6, 4)."""
    padded = jnp.pad(distance, ((0, 0), (1, 1), (1, 1)), constant_values=_FAR)
    return jnp.stack([padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]], axis=-1)


def _shift_tables() -> tuple[np.ndarray, np.ndarray]:
    """By player's cell: the board cell seen at each place of the view (36 for none), and where each cell is seen."""
    row, col = np.divmod(np.arange(NUM_CELLS), _SIDE)
    seen_row = row[None] - row[:, None] + _SIDE - 1
    seen_col = col[None] - col[:, None] + _SIDE - 1
    place = seen_row * _VIEW + seen_col  # (player, cell)
    source = np.full((NUM_CELLS, _VIEW**2), NUM_CELLS)
    np.put_along_axis(source, place, np.arange(NUM_CELLS)[None], axis=1)
    return source.astype(np.int32), place.astype(np.int32)


_SOURCE, _PLACE = _shift_tables()


@jax.custom_vjp
def centred(cells: jax.Array, position: jax.Array) -> jax.Array:
    """The cells around the player, zeros beyond the board.

    Args:
        cells: float32 (N, 36, K).
        position: int32 (N,), the player's cell, 0–35.

    Returns:
        float32 (N, 121, K), row by row; the player stands at place 60.
    """
    padded = jnp.pad(cells, ((0, 0), (0, 1), (0, 0)))
    return jnp.take_along_axis(padded, jnp.asarray(_SOURCE)[position][..., None], axis=1)


def _centred_forward(cells: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    return centred(cells, position), position


def _centred_backward(position: jax.Array, gradient: jax.Array) -> tuple[jax.Array, None]:
    # Each cell is seen at one place: a gather again, where the derivative of a gather would be a slow scatter.
    return jnp.take_along_axis(gradient, jnp.asarray(_PLACE)[position][..., None], axis=1), None


centred.defvjp(_centred_forward, _centred_backward)
