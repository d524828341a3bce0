"""Loops over the slots of each game, in the form that suits the platform."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.reductions import last_row

Carry = TypeVar("Carry")


def for_used(
    used: jax.Array, visit: Callable[[jax.Array, Carry], Carry], start: Carry, *, backwards: bool = False
) -> Carry:
    """Visit the slots one after the other, up to the last one that any game uses.

    Args:
        used: bool (36, N), the slots in use. A visit must change nothing in a game that does not use the slot.
        visit: maps a slot, () int32, and what the visits before it made to what it makes of that.
        start: before the first visit.
        backwards: from the last slot to the first.
    """
    number = 1 + last_row(used)
    return lax.fori_loop(0, number, lambda i, carry: visit(number - 1 - i if backwards else i, carry), start)


def union_over(used: jax.Array, term: Callable[..., jax.Array], *rows: jax.Array) -> jax.Array:
    """All bits that are set in the term of any slot.

    On a GPU it is a reduction, which is one kernel: a loop has kernels of its own in each turn, and where its end
    depends on data, the host waits for each of them.

    Args:
        used: bool (36, N), the slots in use. The term of another slot must be 0.
        term: takes a slot, () int32, and its rows, (1, N) each; returns bool or uint32 (R, N).
        rows: (36, N) each.

    Returns:
        (R, N).
    """
    if on_gpu():
        terms = jax.vmap(term)(np.arange(used.shape[0], dtype=np.int32), *(x[:, None] for x in rows))
        return lax.reduce(terms, np.zeros((), terms.dtype), lax.bitwise_or, (0,))
    result = jax.eval_shape(term, jax.ShapeDtypeStruct((), jnp.int32), *(x[:1] for x in rows))

    def visit(slot: jax.Array, united: jax.Array) -> jax.Array:
        return united | term(slot, *(lax.dynamic_slice_in_dim(x, slot, 1) for x in rows))

    return for_used(used, visit, jnp.zeros(result.shape, result.dtype))


def is_first(member: jax.Array, key: jax.Array) -> jax.Array:
    """Which members have no earlier one with the same key: bool (36, N), int32 (36, N) to bool (36, N)."""
    slots = np.arange(member.shape[0], dtype=np.int32)[:, None]

    def repeated(slot: jax.Array, is_member: jax.Array, its_key: jax.Array) -> jax.Array:
        return is_member & (key == its_key) & (slots > slot)

    return member & ~union_over(member, repeated, member, key)
