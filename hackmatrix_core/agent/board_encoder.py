"""From a percept to the input of dense layers: learned features of each cell, with the player always at the same place.

Each cell becomes a few learned features, with weights shared by all. Then the board is turned and shifted, so that
the player always stands at the same place and the exit lies ahead (see `perception`).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.agent.perception import CELL_SCALE, FACT_SCALE, PLACE, SOURCE, Percept
from hackmatrix_core.game import actions
from hackmatrix_core.game.state import NUM_CELLS


class BoardEncoder(nn.Module):
    """Features of N percepts, float32 (N, F): its facts, and `cell_dim` learned features of each cell of the view."""

    cell_dim: int

    @nn.compact
    def __call__(self, percept: Percept) -> jax.Array:
        """Features of each percept."""
        cells = percept.cells.astype(jnp.float32) * CELL_SCALE[None, None]
        facts = percept.facts.astype(jnp.float32) * FACT_SCALE[None]
        embedded = nn.relu(nn.Dense(self.cell_dim, kernel_init=orthogonal(np.sqrt(2)))(cells))
        view = around_player(embedded, percept.pose)
        return jnp.concatenate([facts, view.reshape(view.shape[0], -1)], axis=-1)


def orthogonal(scale: float) -> nn.initializers.Initializer:
    """Orthogonal weights; under `jax.vmap` one key after the other.

    A batch of QR decompositions may hang on a CPU (seen with jaxlib 0.10) where two of them run at once: each hands its
    batch to the pool of threads that it runs in itself, and waits for them.
    """
    init = nn.initializers.orthogonal(scale)

    def one_by_one(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return jax.custom_batching.sequential_vmap(lambda key: init(key, shape, dtype))(key)

    return one_by_one


@jax.custom_vjp
def around_player(cells: jax.Array, pose: jax.Array) -> jax.Array:
    """The cells as the player sees them, zeros beyond the board.

    Args:
        cells: float32 (N, 36, K).
        pose: int32 (N,), of a `Percept`.

    Returns:
        float32 (N, 81, K), row by row.
    """
    return _gathered(cells, SOURCE, pose)


def _forward(cells: jax.Array, pose: jax.Array) -> tuple[jax.Array, jax.Array]:
    return around_player(cells, pose), pose


def _backward(pose: jax.Array, gradient: jax.Array) -> tuple[jax.Array, None]:
    # Each cell is seen at one place, so this is a gather too; the derivative of a gather would be a slow scatter.
    return _gathered(gradient, PLACE, pose), None


around_player.defvjp(_forward, _backward)


def _gathered(values: jax.Array, table: np.ndarray, pose: jax.Array) -> jax.Array:
    """The values at the places that the table lists for each pose, 0 for the place past the last."""
    places = jnp.take(table.reshape(-1, table.shape[-1]), pose, axis=0)
    return jnp.take_along_axis(jnp.pad(values, ((0, 0), (0, 1), (0, 0))), places[..., None], axis=1)


def on_real_board(logits: jax.Array, pose: jax.Array) -> jax.Array:
    """Logits for the directions as seen, (N, 28), turned into logits for the real directions."""
    orientation = pose // NUM_CELLS
    mirrors_rows, mirrors_cols, exchanges = ((orientation >> i & 1 != 0)[:, None] for i in range(3))
    up, down, left, right = (logits[:, i : i + 1] for i in (actions.UP, actions.DOWN, actions.LEFT, actions.RIGHT))
    up, right = jnp.where(exchanges, right, up), jnp.where(exchanges, up, right)
    down, left = jnp.where(exchanges, left, down), jnp.where(exchanges, down, left)
    up, down = jnp.where(mirrors_rows, down, up), jnp.where(mirrors_rows, up, down)
    left, right = jnp.where(mirrors_cols, right, left), jnp.where(mirrors_cols, left, right)
    return jnp.concatenate([up, down, left, right, logits[:, 4:]], axis=-1)
