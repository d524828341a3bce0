"""All arrays of a pytree as the rows of one, so that a single copy, gather or scatter moves them all."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def as_rows(tree: Any, games: int) -> jax.Array:
    """The rows of all arrays (…, N), one after the other: uint32 (R, N), with N = `games`.

    The arrays hold bool or numbers of four bytes, which are kept bit by bit.
    """
    rows = [_as_words(leaf).reshape(-1, games) for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate([jnp.zeros((0, games), jnp.uint32), *rows])


def from_rows(rows: jax.Array, like: Any) -> Any:
    """What `as_rows` was made of; `like` has its structure, shapes (of any N) and dtypes."""
    leaves, structure = jax.tree.flatten(like)
    parts, start = [], 0
    for leaf in leaves:
        end = start + math.prod(leaf.shape[:-1])
        parts.append(_of_words(rows[start:end], leaf.dtype).reshape(*leaf.shape[:-1], rows.shape[1]))
        start = end
    return structure.unflatten(parts)


def _as_words(x: jax.Array) -> jax.Array:
    return x.astype(jnp.uint32) if x.dtype == jnp.bool_ else lax.bitcast_convert_type(x, jnp.uint32)


def _of_words(words: jax.Array, dtype: Any) -> jax.Array:
    return words != 0 if dtype == jnp.bool_ else lax.bitcast_convert_type(words, dtype)
