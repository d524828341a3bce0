"""Reductions over the 36 slots, or cells, of each game, and over all games.

XLA for the CPU reduces more than 32 numbers in two stages, three kernels in all, and kernels are what takes
time to compile. So halves of 36 rows are combined with each other first, which costs nothing: it is part of the same
kernel. What is reduced has a kernel of its own, because XLA does not vectorise one with a reduction in it. Where
everything is reduced to one number, the axis becomes several short ones.

XLA for GPUs makes a kernel of each reduction that another depends on. `least_of` and `total_of` have 36 terms there,
and become part of what uses them.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.vectorization.backend import on_cpu, on_gpu

_LONGEST = 32
"""XLA for the CPU reduces up to this many numbers in one kernel."""


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


def anywhere(holds: jax.Array) -> jax.Array:
    """Whether any element holds: bool of any shape to ()."""
    return _of_all(holds, lax.bitwise_or, False)


def least_of(function: Callable[..., jax.Array], *rows: jax.Array) -> jax.Array:
    """The smallest number that `function` gives for any slot; see `total_of`."""
    return _folded(least, lax.min, function, rows)


def total_of(function: Callable[..., jax.Array], *rows: jax.Array) -> jax.Array:
    """The sum of what `function` gives for each slot.

    Args:
        function: takes the numbers of S slots, int32 (S, 1), and their rows, (S, N) each; returns (S, N).
        rows: (36, N) each.

    Returns:
        (N,).
    """
    return _folded(total, lax.add, function, rows)


def _folded(
    reduction: Callable[[jax.Array], jax.Array],
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    function: Callable[..., jax.Array],
    rows: tuple[jax.Array, ...],
) -> jax.Array:
    slots = np.arange(rows[0].shape[0], dtype=np.int32)[:, None]
    if not on_gpu():
        return reduction(function(slots, *rows))
    terms = [function(slots[i : i + 1], *(x[i : i + 1] for x in rows)) for i in range(len(slots))]
    return functools.reduce(combine, terms)[0]


def last_row(holds: jax.Array) -> jax.Array:
    """The index of the last row that holds in any game, −1 if none does: bool (36, N) to int32 ()."""
    return _of_all(jnp.where(holds, np.arange(holds.shape[0], dtype=np.int32)[:, None], -1), lax.max, -1)


def _of_all(x: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array], start: int) -> jax.Array:
    if on_cpu():
        x = lax.optimization_barrier(x.reshape(_short_axes(x.size)))  # so that XLA does not join them again
    return lax.reduce(x, np.array(start, x.dtype), combine, tuple(range(x.ndim)))


def _short_axes(size: int) -> list[int]:
    """Lengths whose product is the size, each at most 32 as far as the size has such divisors."""
    axes = []
    while size > _LONGEST:
        axes.append(max(n for n in range(1, _LONGEST + 1) if size % n == 0))
        if axes[-1] == 1:
            break
        size //= axes[-1]
    return [*axes, size]


def _reduced(rows: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array], start: int) -> jax.Array:
    if on_cpu():
        rows = lax.optimization_barrier(rows)
    half = rows.shape[0] // 2
    return lax.reduce(combine(rows[:half], rows[half:]), np.array(start, rows.dtype), combine, (0,))
