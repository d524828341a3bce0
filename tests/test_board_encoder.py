"""The board encoder: its view against a plain shift, its distances against a plain search, its gradient, its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core import board_encoder, game
from hackmatrix_core.network import ActorCritic


def test_view_is_the_board_shifted_to_the_player():
    values = np.arange(36 * 36 * 2, dtype=np.float32).reshape(36, 36, 2) + 1
    view = np.asarray(board_encoder.centred(jnp.asarray(values), jnp.arange(36, dtype=jnp.int32)))
    for player in range(36):
        expected = np.zeros((11, 11, 2), np.float32)
        row, col = divmod(player, 6)
        expected[5 - row : 11 - row, 5 - col : 11 - col] = values[player].reshape(6, 6, 2)
        np.testing.assert_array_equal(view[player].reshape(11, 11, 2), expected)


def test_gradient_of_the_view_is_that_of_the_gather():
    cells, weights = (
        jax.random.normal(jax.random.key(0), (36, 36, 3)),
        jax.random.normal(jax.random.key(1), (36, 121, 3)),
    )
    position = jnp.arange(36, dtype=jnp.int32)
    plain = board_encoder.centred.fun

    def gradient(view):
        return jax.grad(lambda cells: jnp.sum(view(cells, position) * weights))(cells)

    np.testing.assert_array_equal(gradient(board_encoder.centred), gradient(plain))


def test_distances_are_walks_around_blocks():
    rng = np.random.default_rng(0)
    cells = np.zeros((200, 36, 42), np.float32)
    kind = rng.choice(4, size=(200, 36), p=[0.2, 0.1, 0.1, 0.6])  # data, program and hidden blocks, none
    np.put_along_axis(cells, 7 + kind[..., None], 1.0, axis=2)
    cells[..., 10] = 0.0
    exits = rng.integers(37, size=200)  # in some boards there is none
    cells[np.arange(200)[exits < 36], exits[exits < 36], 40] = 1.0
    distances = np.asarray(board_encoder.exit_distances(jnp.asarray(cells)))
    for distance, is_block, exit_cell in zip(distances, kind < 3, exits, strict=True):
        np.testing.assert_array_equal(distance, walked(is_block.reshape(6, 6), exit_cell))


def walked(is_block: np.ndarray, exit_cell: int) -> np.ndarray:
    """Breadth first from the exit, with plain sets."""
    distance = np.full((6, 6), 12.0, np.float32)
    reached = {divmod(exit_cell, 6)} if exit_cell < 36 else set()
    for steps in range(12):
        for cell in reached:
            distance[cell] = steps
        around = {(r + dr, c + dc) for r, c in reached for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1))}
        on_board = {(r, c) for r, c in around if 0 <= r < 6 and 0 <= c < 6}
        reached = {cell for cell in on_board if not is_block[cell] and distance[cell] == 12.0}
    return distance


def test_features_of_a_new_game():
    observations = jax.vmap(lambda key: game.observe(game.reset(key)))(jax.random.split(jax.random.key(2), 6))
    encoder = board_encoder.BoardEncoder(4)
    params = encoder.init(jax.random.key(0), observations[0])
    features = encoder.apply(params, observations.reshape(2, 3, -1))
    assert features.shape == (2, 3, 33 + 1 + 4 + 36 + 121 * 4)
    np.testing.assert_array_equal(features[..., :33], observations.reshape(2, 3, -1)[..., :33])
    alone = jax.vmap(lambda observation: encoder.apply(params, observation))(observations)
    np.testing.assert_allclose(features.reshape(6, -1), alone, rtol=1e-5, atol=1e-6)


def test_it_is_for_the_board_of_the_game_only():
    with pytest.raises(
        ValueError, match=r"cell_dim is 4, and observations have 3 numbers, expected 1545.*cell_dim to 0"
    ):
        ActorCritic(28, cell_dim=4).init(jax.random.key(0), jnp.zeros((1, 3), jnp.float32))
