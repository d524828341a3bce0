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

    @custom_vmap
    def many(*arguments: Any) -> Any:
        if _on_cpu():
            return _block_by_block(function, axis, arguments)
        results = function(*jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), arguments))
        return jax.tree.map(lambda x: jnp.moveaxis(x, axis, 0), results)

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


def _with_leading_axis(size: int, is_batched: Any, arguments: Any) -> Any:
    def broadcast(has_axis: bool, x: jax.Array) -> jax.Array:
        return x if has_axis else jnp.broadcast_to(x, (size, *x.shape))

    return jax.tree.map(broadcast, tuple(is_batched), arguments)


def _block_by_block(function: Callable[..., Any], axis: int, arguments: Any) -> Any:
    """Run `function` on blocks of games that stay in a core's cache.

    Args:
        function: takes and returns arrays with the games along `axis`.
        axis: 0 or −1.
        arguments: arrays (N, …).

    Returns:
        Arrays (N, …).
    """
    games = jax.tree.leaves(arguments)[0].shape[0]
    block = max(size for size in range(1, min(games, _BLOCK) + 1) if games % size == 0)
    if block < min(games, _BLOCK // 4):
        block = games
    structure_of_results = []

    def run(block_of_arguments: tuple[jax.Array, list[jax.Array]]) -> tuple[jax.Array, list[jax.Array]]:
        def turn(x: jax.Array) -> jax.Array:
            return jnp.moveaxis(x, 0, axis)

        # Turning the arrays apart from the rules keeps the loops of the rules on contiguous lanes.
        rows, arrays = block_of_arguments
        arrays = apart(lambda *arrays: [turn(x) for x in arrays])(*arrays) if arrays else []
        results = apart(function)(*unpack(rows, arrays))
        rows, arrays, back = packed(results)
        structure_of_results.append(back)
        return rows, [jnp.moveaxis(x, axis, 0) for x in arrays]

    rows, arrays, unpack = packed(arguments)
    blocks = games // block
    rows = jnp.swapaxes(rows.reshape(-1, blocks, block), 0, 1)
    arrays = [x.reshape(blocks, block, *x.shape[1:]) for x in arrays]
    rows, arrays = lax.map(run, (rows, arrays))
    rows = jnp.swapaxes(rows, 0, 1).reshape(-1, games)
    return structure_of_results[0](rows, [x.reshape(games, *x.shape[2:]) for x in arrays])


def packed(tree: Any) -> tuple[jax.Array, list[jax.Array], Callable[[jax.Array, list[jax.Array]], Any]]:
    """The numbers of a pytree, of rank 1, as the rows of one array, so that they move together.

    Args:
        tree: arrays of four bytes or bool.

    Returns:
        The rows, uint32 (K, N); all other arrays; and the function that makes the pytree of both again.
    """
    leaves, structure = jax.tree.flatten(tree)
    is_number = [leaf.ndim == 1 for leaf in leaves]
    dtypes = [leaf.dtype for leaf in leaves]
    numbers = [as_word(leaf) for leaf in leaves if leaf.ndim == 1]
    games = leaves[0].shape[0] if not numbers else numbers[0].shape[0]
    rows = jnp.stack(numbers) if numbers else jnp.zeros((0, games), jnp.uint32)

    def back(rows: jax.Array, arrays: list[jax.Array]) -> Any:
        row, array = iter(rows), iter(arrays)
        return structure.unflatten(
            [
                of_word(next(row), dtype) if number else next(array)
                for number, dtype in zip(is_number, dtypes, strict=True)
            ]
        )

    return rows, [leaf for leaf in leaves if leaf.ndim != 1], back


def as_word(x: jax.Array) -> jax.Array:
    """Four-byte numbers or bool as uint32 of the same shape, bit by bit."""
    return x.astype(jnp.uint32) if x.dtype == jnp.bool_ else lax.bitcast_convert_type(x, jnp.uint32)


def of_word(word: jax.Array, dtype: Any) -> jax.Array:
    """What `as_word` made a word of."""
    return word != 0 if dtype == jnp.bool_ else lax.bitcast_convert_type(word, dtype)


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
    if not _on_cpu():
        return function
    function = jax.jit(function)  # traced once, for the branch and for the shapes

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        first = jax.tree.leaves(arguments)[0].reshape(-1)[0].astype(jnp.uint32)
        return lax.cond((first | np.uint32(1)) != 0, function, _zeros_of(function), *arguments)

    return call


def _zeros_of(function: Callable[..., Any]) -> Callable[..., Any]:
    def zeros(*arguments: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, *arguments))

    return zeros


def _on_cpu() -> bool:
    # When tracing, not when lowering (`lax.platform_dependent`): that would trace the rules twice.
    return jax.default_backend() == "cpu"
