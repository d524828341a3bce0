"""Loops over the slots of each game, in the form that suits the platform."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
from jax import lax

from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.reductions import last_row

Carry = TypeVar("Carry")


def for_used(
    used: jax.Array, visit: Callable[[jax.Array | int, Carry], Carry], start: Carry, *, backwards: bool = False
) -> Carry:
    """Visit the slots one after the other, up to the last one that any game uses.

    On a GPU all of them are visited in one expression, which becomes one kernel: a loop has kernels of its own in each
    turn, and where its end depends on data, the host waits for each of them.

    Args:
        used: bool (36, N), the slots in use. A visit must change nothing in a game that does not use the slot.
        visit: maps a slot, () int32 or an int, and what the visits before it made to what it makes of that.
        start: before the first visit.
        backwards: from the last slot to the first.
    """
    if on_gpu():
        slots = range(used.shape[0])
        return functools.reduce(lambda carry, slot: visit(slot, carry), reversed(slots) if backwards else slots, start)
    number = 1 + last_row(used)
    return lax.fori_loop(0, number, lambda i, carry: visit(number - 1 - i if backwards else i, carry), start)
