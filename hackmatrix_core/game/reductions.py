"""Reductions over the 36 slots, or cells, of each game.

XLA for the CPU reduces more than 32 rows in two stages, three kernels in all, and kernels are what compiling takes
time for. So each half is combined with the other first, which costs nothing: it is part of the same kernel.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def total(rows: jax.Array) -> jax.Array:
    """The sum of the rows: int32 or uint32 (36, N) to (N,)."""
    return _reduced(rows, lax.add, 0)


def union(rows: jax.Array) -> jax.Array:
    """All bits that are set in any row: uint32 (36, …, N) to (…, N)."""
    return _reduced(rows, lax.bitwise_or, 0)


def least(rows: jax.Array) -> jax.Array:
    """The smallest number of the rows: int32 or uint32 (36, N) to (N,)."""
    return _reduced(rows, lax.min, jnp.iinfo(rows.dtype).max)


def largest(rows: jax.Array) -> jax.Array:
    """The largest number of the rows: int32 or uint32 (36, N) to (N,)."""
    return _reduced(rows, lax.max, jnp.iinfo(rows.dtype).min)


def any_of(rows: jax.Array) -> jax.Array:
    """Whether any row holds: bool (36, N) to (N,). XLA for the CPU is slow at `any`, fast at sums."""
    return total(rows.astype(jnp.uint32)) != 0


def _reduced(rows: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array], start: int) -> jax.Array:
    half = rows.shape[0] // 2
    return lax.reduce(combine(rows[:half], rows[half:]), np.array(start, rows.dtype), combine, (0,))
