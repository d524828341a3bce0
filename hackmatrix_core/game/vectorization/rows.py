"""All arrays of a pytree as the rows of one, so that a single copy, gather or scatter moves them all."""

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.vectorization.backend import on_cpu, on_gpu

Tree = TypeVar("Tree")
FUSED = 8
"""XLA for the CPU computes up to this many arrays in the kernel that joins them; beyond it, each has a kernel."""


def joined(arrays: Sequence[jax.Array]) -> jax.Array:
    """`jnp.concatenate`, in few kernels on a CPU."""
    if len(arrays) <= FUSED or not on_cpu():
        return jnp.concatenate(arrays)
    parts = [jnp.concatenate(arrays[i : i + FUSED]) for i in range(0, len(arrays), FUSED)]
    return jnp.concatenate(lax.optimization_barrier(parts))


def stacked(arrays: Sequence[jax.Array]) -> jax.Array:
    """`jnp.stack`, in few kernels."""
    if on_gpu():
        rank = arrays[0].ndim
        index = np.arange(len(arrays), dtype=np.int32).reshape(-1, *(1,) * rank)
        start = jnp.broadcast_to(arrays[0][None], (len(arrays), *arrays[0].shape))
        return functools.reduce(
            lambda rows, i: jnp.where(index == i, arrays[i][None], rows), range(1, len(arrays)), start
        )
    return joined([x[None] for x in arrays])


def as_rows(tree: Any, games: int) -> jax.Array:
    """The rows of all arrays (…, N): uint32 (R, N), with N = `games`.

    The arrays hold bool or numbers of four bytes, which are kept bit for bit. Those of one dtype lie together,
    because converting each array would be a kernel, and kernels are what takes time to compile.
    """
    leaves = jax.tree.leaves(tree)
    rows = [jnp.zeros((0, games), jnp.uint32)]
    for dtype in _dtypes(leaves):
        members = [leaf.reshape(-1, games) for leaf in leaves if leaf.dtype == dtype]
        rows.append(_as_words(joined(members)))
    return jnp.concatenate(rows)


def from_rows(rows: jax.Array, like: Tree) -> Tree:
    """The inverse of `as_rows`; `like` has the structure, shapes (of any N) and dtypes."""
    leaves, structure = jax.tree.flatten(like)
    heights = [math.prod(leaf.shape[:-1]) for leaf in leaves]
    parts: list[Any] = [None] * len(leaves)
    start = 0
    for dtype in _dtypes(leaves):
        members = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        end = start + sum(heights[i] for i in members)
        numbers = _of_words(rows[start:end], dtype)
        start, row = end, 0
        for i in members:
            parts[i] = numbers[row : row + heights[i]].reshape(*leaves[i].shape[:-1], rows.shape[1])
            row += heights[i]
    return jax.tree.unflatten(structure, parts)


def _dtypes(leaves: list[Any]) -> list[Any]:
    return sorted({leaf.dtype for leaf in leaves}, key=str)


def _as_words(x: jax.Array) -> jax.Array:
    return x.astype(jnp.uint32) if x.dtype == jnp.bool_ else lax.bitcast_convert_type(x, jnp.uint32)


def _of_words(words: jax.Array, dtype: Any) -> jax.Array:
    return words != 0 if dtype == jnp.bool_ else lax.bitcast_convert_type(words, dtype)
