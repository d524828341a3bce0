"""Typed random keys as plain data, for what cannot hold them: files, and messages between processes."""

from typing import Any

import jax
import jax.numpy as jnp


def as_plain(tree: Any) -> Any:
    """The arrays, or their shapes (`jax.ShapeDtypeStruct`), with typed keys replaced by their words."""

    def plain(leaf: Any) -> Any:
        if not _is_key(leaf):
            return leaf
        is_abstract = isinstance(leaf, jax.ShapeDtypeStruct)
        return jax.eval_shape(jax.random.key_data, leaf) if is_abstract else jax.random.key_data(leaf)

    return jax.tree.map(plain, tree)


def from_plain(tree: Any, like: Any) -> Any:
    """The inverse of `as_plain`, for arrays; `like` has keys where they belong."""

    def typed(leaf: Any, model: Any) -> Any:
        return jax.random.wrap_key_data(leaf) if _is_key(model) else leaf

    return jax.tree.map(typed, tree, like)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
