"""One function for one game and for a batch of games.

The rules are written for a batch whose axis is the *last* of every array, because a loop over games is what vector
units do best: a board of 36 words is 36 rows of contiguous lanes. `batched` turns such a function into one for a single
game, and teaches `jax.vmap` to call the batch form at once instead of adding an axis to every operation within.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap

_BLOCK = 256
"""Games in a block. A game takes 1.7 kB, and as much again several times while it is stepped; a core's cache is 256 kB
or more."""


def batched(function: Callable[..., Any], *, games_last: bool = True) -> Callable[..., Any]:
    """Make the game-wise form of `function`.

    Args:
        function: takes and returns pytrees of arrays of shape (…, N), N games along the last axis.
        games_last: otherwise the games are along the first axis, (N, …).

    Returns:
        The function for one game, arrays of shape (…). Under `jax.vmap`, once or nested, it runs `function` on the
        whole batch.
    """
    axis = -1 if games_last else 0
    function = jax.jit(function)

    @custom_vmap
    def one(*arguments: Any) -> Any:
        results = function(*jax.tree.map(lambda x: jnp.expand_dims(x, axis), arguments))
        return jax.tree.map(lambda x: jnp.squeeze(x, axis), results)

    def whole(*arguments: Any) -> Any:
        if not games_last:
            return apart(function)(*arguments)
        # Turning the arrays apart from the rules keeps the loops of the rules on contiguous lanes.
        results = apart(function)(*apart(_games_last)(*arguments))
        return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), results)

    @custom_vmap
    def many(*arguments: Any) -> Any:
        return lax.platform_dependent(*arguments, cpu=_block_by_block(jax.jit(whole)), default=whole)

    @one.def_vmap
    def batch_of_one(axis_size: int, is_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        results = many(*_with_leading_axis(axis_size, is_batched, arguments))
        return results, jax.tree.map(lambda _: True, results)

    @many.def_vmap
    def batch_of_many(axis_size: int, is_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        arguments = _with_leading_axis(axis_size, is_batched, arguments)
        inner_size = jax.tree.leaves(arguments)[0].shape[1]
        merged = jax.tree.map(lambda x: x.reshape(axis_size * inner_size, *x.shape[2:]), arguments)
        results = jax.tree.map(lambda x: x.reshape(axis_size, inner_size, *x.shape[1:]), many(*merged))
        return results, jax.tree.map(lambda _: True, results)

    return functools.wraps(function)(lambda *arguments: one(*arguments))


def _block_by_block(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of arrays (N, …), run on blocks of games that stay in a core's cache."""

    def call(*arguments: Any) -> Any:
        games = jax.tree.leaves(arguments)[0].shape[0]
        block = max(size for size in range(1, _BLOCK + 1) if games % size == 0)
        if games <= _BLOCK or block < _BLOCK // 4:
            return function(*arguments)
        split = jax.tree.map(lambda x: x.reshape(games // block, block, *x.shape[1:]), arguments)
        results = lax.map(lambda one_block: function(*one_block), split)
        return jax.tree.map(lambda x: x.reshape(games, *x.shape[2:]), results)

    return call


def _games_last(*arguments: Any) -> Any:
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), arguments)


def _with_leading_axis(size: int, is_batched: Any, arguments: Any) -> Any:
    def broadcast(has_axis: bool, x: jax.Array) -> jax.Array:
        return x if has_axis else jnp.broadcast_to(x, (size, *x.shape))

    return jax.tree.map(broadcast, tuple(is_batched), arguments)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute what `function` returns once, in a computation of its own.

    XLA for the CPU fuses a value into everything that uses it and computes it again there: for each of 36 rows that a
    value of a game is broadcast to, for each of 1,545 numbers of an observation. It does not fuse across a branch, so
    here the call becomes one whose condition always holds, which the compiler can not know.

    Args:
        function: takes and returns pytrees of arrays, without side effects.

    Returns:
        The same function; on other platforms than the CPU exactly the same.
    """
    function = jax.jit(function)  # traced once, however often it is used below

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        def branch(*arguments: Any) -> Any:
            first = jax.tree.leaves(arguments)[0].reshape(-1)[0].astype(jnp.uint32)
            return lax.cond((first | np.uint32(1)) != 0, function, _zeros_of(function), *arguments)

        return lax.platform_dependent(*arguments, cpu=branch, default=function)

    return call


def _zeros_of(function: Callable[..., Any]) -> Callable[..., Any]:
    def zeros(*arguments: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, *arguments))

    return zeros
