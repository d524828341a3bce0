"""The game in compiled programs that all tests share.

Compiling a step takes seconds. What is compiled is kept in `.jax_cache` under a key of its name, its code and its
shapes, so a test that steps many games does it with a program from here, and with as many games as others do: `FEW` at
a time, or any number in batches of `MANY`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hackmatrix_core as hm
from hackmatrix_core.game.step import compact_observation

FEW = 64
MANY = 2048
ENV = hm.HackMatrixGymnax()

reset = jax.jit(jax.vmap(hm.reset))
step = jax.jit(jax.vmap(hm.step))
observe = jax.jit(jax.vmap(hm.observe))
observe_compact = jax.jit(jax.vmap(compact_observation))
get_valid_actions = jax.jit(jax.vmap(hm.get_valid_actions))


@jax.jit
def env_reset(keys, params):
    return jax.vmap(ENV.reset, (0, None))(keys, params)


@jax.jit
def env_step(keys, state, action, params):
    return jax.vmap(ENV.step, (0, 0, 0, None))(keys, state, action, params)


@jax.jit
def random_actions(key, masks):
    return jax.random.categorical(key, jnp.where(masks, 0.0, -1e9)).astype(jnp.int32)


def take(batch: Any, index: Any) -> Any:
    """Some or one of the entries of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], batch)


def in_batches(program: Callable[..., Any], *arguments: Any, size: int = MANY) -> Any:
    """The results of a program for any number of games, with NumPy arrays as leaves: it runs on `size` at a time."""
    count = len(jax.tree.leaves(arguments)[0])
    parts = []
    for start in range(0, count, size):
        is_whole = start + size <= count
        index = slice(start, start + size) if is_whole else np.minimum(np.arange(start, start + size), count - 1)
        parts.append(jax.device_get(program(*take(arguments, index))))
    return jax.tree.map(
        lambda *leaves: np.concatenate(leaves)[:count] if len(leaves) > 1 else leaves[0][:count], *parts
    )


few = partial(in_batches, size=FEW)
"""The results of a program as `in_batches` gives them, `FEW` games at a time."""
