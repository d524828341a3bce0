"""Two policies that do not learn: the baselines for every trained one. For the signature see `policy`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import GameState, actions, board, entity
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.random import below
from hackmatrix_core.game.vectorization.batching import batched
from hackmatrix_core.game.vectorization.sparse import nth_bit

_FAR = 1000
_ACTIONS = np.arange(NUM_ACTIONS, dtype=np.uint32)


def random(state: object, observation: object, action_mask: jax.Array, key: jax.Array) -> jax.Array:
    """A valid action, uniformly at random, by one draw: () int32; 0 if none is valid."""
    valid = jnp.sum(action_mask.astype(jnp.uint32) << _ACTIONS, dtype=jnp.uint32)
    number = lax.population_count(valid).astype(jnp.int32)
    return jnp.where(number == 0, 0, nth_bit(valid, below(jax.random.bits(key, dtype=jnp.uint32), number)))


def greedy(state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
    """Walk to the exit: () int32.

    The program reset at hp 1 if valid; else attack the first orthogonally adjacent enemy; else the valid direction
    whose neighbouring cell has the shortest walking distance to the exit. Ties are broken in direction order (R1.1).
    """
    return _greedy(state, action_mask)


@batched
def _greedy(state: GameState, action_mask: jax.Array) -> jax.Array:
    neighbours = board.neighbour_cells(state.position)  # (4, N)
    enemy_cells = jnp.where(entity.KIND.get(state.entities) == entity.ENEMY, entity.CELL.get(state.entities), -1)
    has_enemy = jnp.any(neighbours[:, None] == jnp.where(enemy_cells < 0, -2, enemy_cells)[None], axis=1)

    walls = board.blocks(state.cells)
    exits = jnp.broadcast_to(state.exit[None], neighbours.shape)
    boards = jnp.broadcast_to(walls[:, None], (2, *neighbours.shape)).reshape(2, -1)
    steps = board.walking_distance(board.bit(neighbours.reshape(-1)), board.bit(exits.reshape(-1)), boards)
    steps = steps.reshape(neighbours.shape)
    # 0 means both "already there" and "no path".
    steps = jnp.where((steps == 0) & (neighbours != exits), _FAR, steps)
    steps = jnp.where(action_mask[:4], steps, 2 * _FAR)

    walk = jnp.where(jnp.any(has_enemy, axis=0), jnp.argmax(has_enemy, axis=0), jnp.argmin(steps, axis=0))
    return jnp.where((state.hp == 1) & action_mask[actions.RESET], np.int32(actions.RESET), walk.astype(jnp.int32))
