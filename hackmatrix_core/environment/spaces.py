"""The spaces of actions and observations, as clients of gymnax expect them."""

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 … n − 1."""

    n: int
    dtype: Any = jnp.int32
    shape: tuple[int, ...] = dataclasses.field(default=(), init=False)

    def sample(self, key: jax.Array) -> jax.Array:
        """One of them at random, all equally likely: ()."""
        return jax.random.randint(key, self.shape, 0, self.n, self.dtype)

    def contains(self, x: jax.Array) -> jax.Array:
        """Whether the integer x is one of them: bool of the same shape."""
        x = jnp.asarray(x)
        return (x >= 0) & (x < self.n)


@dataclasses.dataclass(frozen=True)
class Box:
    """The arrays of a shape whose numbers all lie from `low` to `high`."""

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def sample(self, key: jax.Array) -> jax.Array:
        """One of them at random, uniformly: an array of `shape` and `dtype`."""
        return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high).astype(self.dtype)

    def contains(self, x: jax.Array) -> jax.Array:
        """Whether the array x is one of them: () bool."""
        x = jnp.asarray(x)
        if x.shape != self.shape:
            return jnp.bool_(False)
        return jnp.all((x >= np.asarray(self.low, x.dtype)) & (x <= np.asarray(self.high, x.dtype)))


def as_gymnax(space: Discrete | Box) -> Any:
    """The space, or its equivalent from gymnax where gymnax is in use.

    Clients of gymnax tell its spaces apart by `isinstance`, and to do so they have imported gymnax.
    """
    gymnax = sys.modules.get("gymnax.environments.spaces")
    if gymnax is None:
        return space
    if isinstance(space, Discrete):
        return gymnax.Discrete(space.n)
    return gymnax.Box(space.low, space.high, space.shape, space.dtype)
