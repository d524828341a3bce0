"""`jax.jit` for many games: spread over all devices, which on a CPU are its cores."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from hackmatrix_core.game.vectorization.backend import compiler_options, devices_of_cores

_AXIS = "games"


def jit(
    function: Callable[..., Any], *, shared: int | Sequence[int] = (), donate: int | Sequence[int] = ()
) -> Callable[..., Any]:
    """Compile a function of many games so that each device computes its share of them.

    On a CPU each core becomes a device, because XLA keeps one program on about one core; for this call `jit` before
    JAX computes anything. XLA also gets the options with which the rules compile best.

        step = hm.jit(lambda keys, states, actions: jax.vmap(env.step)(keys, states, actions), donate=1)

    Args:
        function: of arrays, and trees of arrays. The first axis of each is that of the games, in the arguments and in
            the results. Each device runs it on its games alone, so it cannot look at all of them.
        shared: positions of arguments that are the same for all games, such as the parameters of a network.
        donate: positions of arguments whose memory the results may take over, such as the states that are stepped.

    Returns:
        The compiled function, of positional arguments. As many devices are used as divide the number of games.

    Raises:
        ValueError: when it is called without an argument that has an axis of games.
    """
    devices_of_cores()
    shared, donate = (tuple(np.atleast_1d(np.asarray(given, int)).tolist()) for given in (shared, donate))

    @functools.lru_cache
    def compiled(num_arguments: int, num_devices: int) -> Callable[..., Any]:
        options: dict[str, Any] = {"donate_argnums": donate, "compiler_options": compiler_options()}
        if num_devices == 1:
            return jax.jit(function, **options)
        spread = PartitionSpec(_AXIS)
        mapped = jax.shard_map(
            function,
            mesh=Mesh(np.array(jax.local_devices()[:num_devices]), _AXIS),
            in_specs=tuple(PartitionSpec() if i in shared else spread for i in range(num_arguments)),
            out_specs=spread,
            check_vma=False,
        )
        return jax.jit(mapped, **options)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        spread = [tree for i, tree in enumerate(arguments) if i not in shared]
        games: set[tuple[int, ...]] = {getattr(leaf, "shape", ())[:1] for leaf in jax.tree.leaves(spread)}
        if len(games) != 1 or games == {()}:
            found = ", ".join(str(shape[0]) if shape else "none" for shape in sorted(games)) or "no argument"
            raise ValueError(f"the first axes are {found}, expected one number of games in all arguments not shared")
        count = games.pop()[0]
        devices = len(jax.local_devices())
        return compiled(len(arguments), max(n for n in range(1, devices + 1) if count % n == 0))(*arguments)

    return call
