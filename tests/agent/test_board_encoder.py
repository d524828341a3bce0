"""The board encoder: its view against a plain shift and turn, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core import game
from hackmatrix_core.agent import board_encoder
from hackmatrix_core.agent.perception import BEHIND, VIEW, oriented, perceive
from hackmatrix_core.game.actions import DIRECTIONS

ALL_POSES = jnp.arange(8 * 36, dtype=jnp.int32)


def test_view_is_the_board_turned_and_shifted_to_the_player():
    values = np.arange(8 * 36 * 36 * 2, dtype=np.float32).reshape(8 * 36, 36, 2) + 1
    views = np.asarray(board_encoder.around_player(jnp.asarray(values), ALL_POSES)).reshape(-1, VIEW, VIEW, 2)
    for pose, view in enumerate(views):
        orientation, (row, col) = pose // 36, divmod(pose % 36, 6)
        expected = np.zeros((VIEW, VIEW, 2), np.float32)
        for cell in range(36):
            rise, run = oriented(cell // 6 - row, cell % 6 - col, orientation)
            if rise >= -BEHIND and run >= -BEHIND:
                expected[rise + BEHIND, run + BEHIND] = values[pose, cell]
        np.testing.assert_array_equal(view, expected)


def test_gradient_of_the_view_is_that_of_the_gather():
    cells = jax.random.normal(jax.random.key(0), (8 * 36, 36, 3))
    weights = jax.random.normal(jax.random.key(1), (8 * 36, VIEW**2, 3))

    def gradient(view):
        return jax.grad(lambda cells: jnp.sum(view(cells, ALL_POSES) * weights))(cells)

    np.testing.assert_array_equal(gradient(board_encoder.around_player), gradient(board_encoder.around_player.fun))


def test_directions_as_seen_become_those_of_the_real_board():
    logits = jnp.broadcast_to(jnp.arange(28, dtype=jnp.float32), (8, 28))
    real = np.asarray(board_encoder.on_real_board(logits, 36 * jnp.arange(8, dtype=jnp.int32) + 7))
    steps = [tuple(step) for step in DIRECTIONS.tolist()]
    for orientation in range(8):
        seen_as = [steps.index(tuple(oriented(*step, orientation))) for step in steps]
        assert real[orientation, :4].tolist() == seen_as
        assert real[orientation, 4:].tolist() == list(range(4, 28))


def test_features_of_a_new_game():
    observations = jax.vmap(lambda key: game.observe(game.reset(key)))(jax.random.split(jax.random.key(2), 6))
    percept = perceive(observations)
    encoder = board_encoder.BoardEncoder(4)
    features = encoder.apply(encoder.init(jax.random.key(0), percept), percept)
    assert features.shape == (6, percept.facts.shape[1] + VIEW**2 * 4)
    assert features.dtype == jnp.float32
    assert float(jnp.abs(features).max()) < 20.0
