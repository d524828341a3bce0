"""Typed random keys as plain data, for what cannot hold them: files, and messages between processes."""

from typing import Any

import jax
import jax.numpy as jnp


def as_plain(tree: Any) -> Any:
    """The arrays, with typed keys replaced by their words."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def from_plain(tree: Any, like: Any) -> Any:
    """The inverse of `as_plain`; `like` has keys where they belong."""
    return jax.tree.map(lambda leaf, model: jax.random.wrap_key_data(leaf) if _is_key(model) else leaf, tree, like)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
