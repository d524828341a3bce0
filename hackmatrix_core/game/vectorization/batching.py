"""One function for one game and for a batch of games.

The rules are written for a batch whose axis is the *last* of every array, because a loop over games is what vector
units do best: a board of 36 words is 36 rows of contiguous lanes. `batched` turns such a function into one for a single
game, and teaches `jax.vmap` to call the batch form directly instead of adding an axis to every operation in it.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from hackmatrix_core.game.vectorization.backend import in_32_bits, on_cpu, platform
from hackmatrix_core.game.vectorization.rows import as_rows, from_rows

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
_BLOCK = 256
"""Games in a block. A game takes 1.7 kB, and as much again several times while it is stepped; a core's cache is 256 kB
or more."""


def batched(
    function: Callable[Given, Returned], *, games_last: bool = True, in_blocks: bool = True
) -> Callable[Given, Returned]:
    """Make the game-wise form of `function`.

    Args:
        function: takes and returns pytrees of arrays of shape (…, N), N games along the last axis.
        games_last: otherwise the games are along the first axis, (N, …).
        in_blocks: whether a large batch may be worked on in blocks that fit a core's cache. Each block is copied out
            and in, so a function that changes little of a large array in place does without.

    Returns:
        The function for one game, arrays of shape (…). Under `jax.vmap`, once or nested, it runs `function` on the
        whole batch. Its arguments are positional, and it has no derivative.
    """
    axis, name = -1 if games_last else 0, function.__name__
    function = jax.jit(function)

    def one(*arguments: Any) -> Any:
        results = function(*jax.tree.map(lambda x: jnp.expand_dims(x, axis), arguments))
        return jax.tree.map(lambda x: jnp.squeeze(x, axis), results)

    def many(*arguments: Any) -> Any:
        games = jax.tree.leaves(arguments)[0].shape[0]
        if games == 0:  # the rules expect one
            some = jax.tree.map(lambda x: jnp.zeros((1, *x.shape[1:]), x.dtype), arguments)
            return jax.tree.map(lambda x: jnp.zeros((0, *x.shape[1:]), x.dtype), jax.eval_shape(many, *some))
        block = _block(games) if in_blocks and on_cpu() else games
        if block < games:
            return _block_by_block(function, axis, block, arguments)
        results = uninlined(function)(*jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), arguments))
        return jax.tree.map(lambda x: jnp.moveaxis(x, axis, 0), results)

    def merged(*arguments: Any) -> Any:
        outer, inner = jax.tree.leaves(arguments)[0].shape[:2]
        results = on_batch(*jax.tree.map(lambda x: x.reshape(outer * inner, *x.shape[2:]), arguments))
        return jax.tree.map(lambda x: x.reshape(outer, inner, *x.shape[1:]), results)

    on_batch = _with_vmap_rule(many, merged, name)
    return functools.wraps(function)(_with_vmap_rule(one, on_batch, name))


def _with_vmap_rule(function: Callable[..., Any], on_batch: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function`, in whose place `jax.vmap` calls `on_batch` with the batch along the first axis of all arrays.

    `jax.custom_batching.custom_vmap` does the same, but traces `function` even where only the batch is wanted: for the
    rules that takes as long as all the rest of tracing a training run.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True
    returns: dict[Any, Any] = {}  # structures of what is returned, by those of the arguments
    traced: dict[Any, ClosedJaxpr] = {}  # what `function` does, by platform, structure and types of the arguments

    def flat(call: Callable[..., Any]) -> Callable[..., list[jax.Array]]:
        def on_leaves(*leaves: jax.Array, structure: Any) -> list[jax.Array]:
            with in_32_bits():
                results, returns[structure] = jax.tree.flatten(call(*structure.unflatten(leaves)))
            return results

        return on_leaves

    def batched_leaves(leaves: Any, axes: Any, *, structure: Any) -> tuple[list[jax.Array], Any]:
        (size,) = {leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None}
        leaves = [
            jnp.broadcast_to(leaf, (size, *leaf.shape)) if axis is None else jnp.moveaxis(leaf, axis, 0)
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        results = _on_their_devices(functools.partial(flat(on_batch), structure=structure), leaves)
        return results, [0] * len(results)

    def trace(types: tuple[Any, ...], structure: Any) -> ClosedJaxpr:
        return jax.make_jaxpr(functools.partial(flat(function), structure=structure))(*types)

    @primitive.def_abstract_eval
    def shapes(*types: Any, structure: Any) -> Any:
        plain = tuple(map(_plain, types))
        traced[platform(), structure, plain] = closed = trace(plain, structure)
        return closed.out_avals if plain == types else _spread_like(types, closed.out_avals)

    def lowered(context: mlir.LoweringRuleContext, *leaves: Any, structure: Any) -> Any:
        # JAX lowers in a different context from the one it traces in, and would trace the rules a second time.
        types = tuple(map(_plain, context.avals_in))
        jaxpr = traced.get((platform(), structure, types)) or trace(types, structure)
        plain = context.replace(avals_in=types, avals_out=jaxpr.out_avals)
        with in_32_bits():
            return mlir.lower_fun(jaxpr_as_fun(jaxpr), multiple_results=True)(plain, *leaves)

    primitive.def_impl(jax.jit(flat(function), static_argnames="structure"))
    mlir.register_lowering(primitive, lowered)
    batching.primitive_batchers[primitive] = batched_leaves

    def call(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        results = primitive.bind(*leaves, structure=structure)
        return returns[structure].unflatten(results)

    return call


def _on_their_devices(function: Callable[..., list[jax.Array]], leaves: list[jax.Array]) -> list[jax.Array]:
    """Run `function` on a batch, arrays (N, …); where their types say that it is spread over devices, on each alone."""
    shardings = [jax.typeof(leaf).sharding for leaf in leaves]
    spread = [sharding for sharding in shardings if sharding.spec and sharding.spec[0] is not None]
    if not spread:
        return function(*leaves)
    spec = PartitionSpec(spread[0].spec[0])
    leaves = [jax.sharding.reshard(leaf, NamedSharding(spread[0].mesh, spec)) for leaf in leaves]
    mapped = jax.shard_map(function, mesh=spread[0].mesh, in_specs=spec, out_specs=spec, check_vma=False)
    results: list[jax.Array] = mapped(*leaves)
    return results


def _plain(type_: Any) -> Any:
    """The shape and dtype of an array, without what `jax.shard_map` notes of where it differs between devices.

    A rule works on each device's games alone. Within it there is nothing to note, and the loops need not mark what
    they begin with.
    """
    return ShapedArray(type_.shape, type_.dtype)


def _spread_like(types: Any, results: Any) -> Any:
    """The types of results that differ between devices wherever one of the arguments does."""

    def mixed(*arguments: jax.Array) -> list[jax.Array]:
        together = functools.reduce(lax.bitwise_or, [jnp.any(x != x) for x in arguments])
        return [jnp.broadcast_to(together, x.shape).astype(x.dtype) for x in results]

    return jax.make_jaxpr(mixed)(*types).out_avals


def _block(games: int) -> int:
    """How many games a block has: a divisor of their number, or all of them where only small blocks would fit."""
    block = max(size for size in range(1, min(games, _BLOCK) + 1) if games % size == 0)
    return block if block >= min(games, _BLOCK // 4) else games


def _block_by_block(function: Callable[..., Any], axis: int, block: int, arguments: Any) -> Any:
    """Run `function` on blocks of games that stay in a core's cache.

    Args:
        function: takes and returns arrays with the games along `axis`.
        axis: 0 or −1.
        block: games in a block; divides their number.
        arguments: arrays (N, …).

    Returns:
        Arrays (N, …).
    """
    games = jax.tree.leaves(arguments)[0].shape[0]
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((block, *x.shape[1:]), x.dtype), arguments)
    shapes = jax.eval_shape(lambda tree: jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), tree), like)
    numbers_like, _ = _numbers_and_arrays(shapes)
    with set_xla_metadata(inlineable=None):  # as in `uninlined`, so that the function is traced once
        results_like = jax.eval_shape(function, *shapes)

    def run(one_block: tuple[jax.Array, list[jax.Array]]) -> tuple[jax.Array, list[jax.Array]]:
        rows, arrays = one_block
        # Turning the arrays apart from the rules keeps the loops of the rules on contiguous lanes.
        turned = uninlined(lambda *arrays: [jnp.moveaxis(x, 0, axis) for x in arrays])(*arrays) if arrays else []
        results = uninlined(function)(*_joined(shapes, from_rows(rows, numbers_like), turned))
        numbers, arrays = _numbers_and_arrays(results)
        return as_rows(numbers, block), [jnp.moveaxis(x, axis, 0) for x in arrays]

    numbers, arrays = _numbers_and_arrays(arguments)
    blocks = games // block
    rows = jnp.swapaxes(as_rows(numbers, games).reshape(-1, blocks, block), 0, 1)
    rows, arrays = lax.map(run, (rows, [x.reshape(blocks, block, *x.shape[1:]) for x in arrays]))
    rows = jnp.swapaxes(rows, 0, 1).reshape(-1, games)
    numbers_like, _ = _numbers_and_arrays(results_like)
    return _joined(results_like, from_rows(rows, numbers_like), [x.reshape(games, *x.shape[2:]) for x in arrays])


def _numbers_and_arrays(tree: Any) -> tuple[list[Any], list[Any]]:
    """The leaves with one number a game, and the others."""
    leaves = jax.tree.leaves(tree)
    return [leaf for leaf in leaves if leaf.ndim == 1], [leaf for leaf in leaves if leaf.ndim != 1]


def _joined(like: Any, numbers: list[jax.Array], arrays: list[jax.Array]) -> Any:
    """The pytree that `_numbers_and_arrays` took apart, with the structure of `like`."""
    number, array = iter(numbers), iter(arrays)
    return jax.tree.map(lambda leaf: next(number) if leaf.ndim == 1 else next(array), like)


def uninlined(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Compute what `function` returns once, in a separate computation.

    XLA for the CPU fuses a value into everything that uses it and computes it again there: for each of 36 rows that a
    value of a game is broadcast to, for each of 1,545 numbers of an observation. It does not fuse across a call, so
    here it is told to keep the call.

    Args:
        function: takes and returns pytrees of arrays, without side effects.

    Returns:
        An equivalent function; on platforms other than the CPU the very same one.
    """
    if not on_cpu():
        return function
    name, function = function.__name__, jax.jit(function)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        structure: Any
        leaves, structure = jax.tree.flatten(arguments)
        with set_xla_metadata(inlineable=None):  # as below, so that the function is traced once
            used = _used(function.trace(*arguments).jaxpr.jaxpr, len(leaves))

        def within(*passed: jax.Array) -> Any:
            given = iter(passed)
            filled = [
                next(given) if needed else jnp.zeros_like(leaf) for leaf, needed in zip(leaves, used, strict=True)
            ]
            with set_xla_metadata(inlineable=None):
                return function(*structure.unflatten(filled))

        within.__name__ = name
        with set_xla_metadata(inlineable="false"):
            return jax.jit(within)(*itertools.compress(leaves, used))

    return call  # type: ignore[return-value]  # these functions take no arguments by name


def _used(jaxpr: Jaxpr, count: int) -> list[bool]:
    """Which of a computation's `count` arguments it looks at: a call would have all of them computed and stored."""
    read = {id(x) for equation in jaxpr.eqns for x in equation.invars} | {id(x) for x in jaxpr.outvars}
    return [id(x) in read for x in jaxpr.invars[len(jaxpr.invars) - count :]]
