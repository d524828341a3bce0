"""`jax.jit` for many games: spread over all devices, which on a CPU are its cores."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from hackmatrix_core.game.vectorization.backend import compiler_options, devices_of_cores

_AXIS = "games"


class jit:
    """Compile a function of many games so that each device computes its share of them.

    On a CPU each core becomes a device, because XLA keeps one program on about one core; for this call `jit` before
    JAX computes anything. XLA also gets the options with which the rules compile best.

        step = hm.jit(lambda keys, states, actions: jax.vmap(env.step)(keys, states, actions), donate=1)

    As many devices are used as divide the number of games. Within `jax.jit`, `jax.grad` and the like the result is an
    ordinary part of what they make of it.

    Args:
        function: of arrays, and trees of arrays. The first axis of each is that of the games, in the arguments and in
            the results. Each device runs it on its games alone, so it cannot look at all of them.
        shared: positions of arguments that are the same for all games, such as the parameters of a network; −1 is the
            last one.
        donate: positions of arguments whose memory the results may take over, such as the states that are stepped.

    Raises:
        TypeError: it is no function.
        ValueError: when it is called: no argument has an axis of games, a result has none, or a position is none.
    """

    def __init__(
        self, function: Callable[..., Any], *, shared: int | Sequence[int] = (), donate: int | Sequence[int] = ()
    ) -> None:
        if not callable(function):
            raise TypeError(f"function is {function!r}, expected a function of many games")
        devices_of_cores()
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._positions: dict[str, Any] = {"shared": shared, "donate": donate}
        self._compiled = functools.lru_cache(self._compile)

    def __reduce__(self) -> str | tuple[Any, ...]:
        name, module = getattr(self, "__qualname__", ""), getattr(self, "__module__", "")
        # One that took its function's place, as a decorator does, is found under that name.
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is self:
            return name
        return functools.partial(jit, **self._positions), (self._function,)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The results of the function."""
        if named:
            bound = inspect.signature(self._function).bind(*arguments, **named)
            arguments, named = bound.args, bound.kwargs
        shared, donate = (_positions(name, given, len(arguments)) for name, given in self._positions.items())
        spread = [tree for i, tree in enumerate(arguments) if i not in shared], named
        games: set[tuple[int, ...]] = {getattr(leaf, "shape", ())[:1] for leaf in jax.tree.leaves(spread)}
        if len(games) != 1 or games == {()}:
            found = ", ".join(str(shape[0]) if shape else "none" for shape in sorted(games)) or "no argument"
            raise ValueError(f"the first axes are {found}, expected one number of games in all arguments not shared")
        count = games.pop()[0]
        devices = max(n for n in range(1, len(jax.local_devices()) + 1) if count % n == 0)
        # Where another program is made, new arrays are a part of it, even if no argument is.
        if any(isinstance(leaf, jax.core.Tracer) for leaf in (*jax.tree.leaves((arguments, named)), jnp.zeros(()))):
            devices = 0
        return self._compiled(count, devices, len(arguments), shared, donate)(*arguments, named)

    def _compile(
        self, count: int, devices: int, arguments: int, shared: tuple[int, ...], donate: tuple[int, ...]
    ) -> Callable[..., Any]:
        """The program for so many games; with 0 devices, as a part of another program."""
        program: Callable[..., Any] = functools.partial(self._checked, count)
        if not devices:
            return jax.jit(program)
        if devices > 1:
            spread = PartitionSpec(_AXIS)
            share = jax.shard_map(
                functools.partial(self._checked, count // devices),
                mesh=Mesh(np.array(jax.local_devices()[:devices]), _AXIS),
                in_specs=(*(PartitionSpec() if i in shared else spread for i in range(arguments)), spread),
                out_specs=spread,
                check_vma=False,
            )
            # Also for all games: results of a share may have its number of games by chance.
            whole, program = program, lambda *given: (jax.eval_shape(whole, *given), share(*given))[1]
        options: dict[str, Any] = {"compiler_options": compiler_options()}
        return jax.jit(program, donate_argnums=donate, **options)

    def _checked(self, count: int, *given: Any) -> Any:
        """The results for so many games, once each is known to have an axis of them."""
        *arguments, named = given
        results = self._function(*arguments, **named)
        for path, leaf in jax.tree_util.tree_leaves_with_path(results):
            if np.shape(leaf)[:1] != (count,):
                raise ValueError(
                    f"result{jax.tree_util.keystr(path)} has shape {np.shape(leaf)}, expected {count} games along its "
                    "first axis. Compute what is of all games together outside of this function"
                )
        return results


def _positions(name: str, given: int | Sequence[int], count: int) -> tuple[int, ...]:
    """The positions as a caller gave them, from the first of so many arguments."""
    positions = np.atleast_1d(given).tolist()
    if not all(type(i) is int and -count <= i < count for i in positions):
        raise ValueError(f"{name} is {given!r}, expected positions of arguments, of which there are {count}")
    return tuple(i % count for i in positions)
