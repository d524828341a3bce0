"""Work that only a few games of a batch need in a step, done only for them.

Under `jax.vmap` every branch of a condition runs for every game. What one game in ten needs (a siphon, a spawn, a new
stage) costs a tenth if those games are gathered into small groups, and the loop over groups ends when all are served.
GPUs and TPUs have lanes for all games, and gathering is what they are slow at: there only what very few games need is
done in groups.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.vectorization.backend import on_cpu
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.rows import as_rows, from_rows

Returned = TypeVar("Returned")
_SMALLEST_GROUP = 8
_FEW = 16
_WORD = 32


def apply_where(
    function: Callable[..., Returned], needed: jax.Array, arguments: Any, default: Returned, *, groups: int
) -> Returned:
    """What `function` returns in the games that need it, elsewhere `default`.

    Args:
        function: takes which of G games need it, bool (G,), and their `arguments`, pytrees of arrays (…, G), and
            returns a pytree (…, G). What it returns for the others does not matter.
        needed: bool (N,).
        arguments: a tuple of pytrees of arrays (…, N).
        default: a pytree of arrays (…, N), of the structure and dtypes that `function` returns.
        groups: a group is this part of the batch, so that a group or two serve an ordinary step.
    """
    if groups < _FEW and not on_cpu():
        return jax.tree.map(lambda new, old: jnp.where(needed, new, old), function(needed, *arguments), default)
    games = needed.shape[0]
    size = max(games // groups, min(games, _SMALLEST_GROUP))
    number, find = finder(needed)
    given = as_rows(arguments, games)

    def unfinished(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
        return carry[0] < number

    def on_rows(wanted: jax.Array, rows: jax.Array) -> jax.Array:
        return as_rows(function(wanted, *from_rows(rows, arguments)), size)

    def serve(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        served, results = carry
        rank = served + np.arange(size, dtype=np.int32)
        chosen = jnp.where(rank < number, find(rank), games)
        if on_cpu():  # in one kernel with the gather, they would be found anew for each row
            chosen = lax.optimization_barrier(chosen)
        group = uninlined(on_rows)(rank < number, jnp.take(given, chosen, axis=1, mode="clip"))
        return served + size, results.at[:, chosen].set(group, mode="drop")

    _, results = lax.while_loop(unfinished, serve, (jnp.int32(0), as_rows(default, games)))
    return from_rows(results, default)


def finder(member: jax.Array) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The number of members of bool (N,), int32 (); and a function from k, int32 (K,), to the index of the k-th one."""
    padded = jnp.pad(member, (0, -member.shape[0] % _WORD)).reshape(-1, _WORD)
    words = jnp.sum(padded.astype(jnp.uint32) << np.arange(_WORD, dtype=np.uint32)[None], axis=1, dtype=jnp.uint32)
    counts = lax.population_count(words).astype(jnp.int32)
    before = _sums_before(counts)

    def find(k: jax.Array) -> jax.Array:
        place = jnp.sum(before[None] <= k[:, None], axis=1, dtype=jnp.int32) - 1
        return place * _WORD + nth_bit(jnp.take(words, place), k - jnp.take(before, place))

    return before[-1], find


def _sums_before(counts: jax.Array) -> jax.Array:
    """The sum of the counts before each place, and at the end that of all: int32 (W,) to (W + 1,)."""
    if on_cpu():  # a block has few words, and a cumulative sum would be three kernels
        index = np.arange(len(counts) + 1, dtype=np.int32)
        return jnp.sum(jnp.where(index[None, :-1] < index[:, None], counts[None], 0), axis=1, dtype=jnp.int32)
    return jnp.pad(jnp.cumsum(counts), (1, 0))


def nth_bit(word: jax.Array, n: jax.Array) -> jax.Array:
    """The index of the n-th bit that is set, counted from 0: uint32 (N,), int32 (N,) below the count to int32 (N,)."""
    index = jnp.zeros_like(n)
    for width in (16, 8, 4, 2, 1):
        in_part = lax.population_count(word & ((1 << width) - 1)).astype(jnp.int32)
        skip = n >= in_part
        n = jnp.where(skip, n - in_part, n)
        word = jnp.where(skip, word >> width, word)
        index = index + jnp.where(skip, width, 0)
    return index
