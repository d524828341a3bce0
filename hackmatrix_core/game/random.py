"""Random numbers of the rules: a counter-based hash, seeded by the caller's key.

`jax.random` spends more on one draw per game than a whole enemy turn costs. Here a number is a pure function of
(seed, stream, counter): the counter is mixed with the seed's two words by the 32-bit finaliser of MurmurHash3 (Appleby,
public domain). Same key, same game, batched or not, on every platform.
"""

import enum

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


class Stream(enum.IntEnum):
    """Where in the rules a number is used: two streams never share a number."""

    CORNER = enum.auto()
    BONUS = enum.auto()
    EXIT = enum.auto()
    BLOCK_COUNT = enum.auto()
    LAYOUT = enum.auto()
    BLOCK_KIND = enum.auto()
    BLOCK_PROGRAM = enum.auto()
    RESOURCE = enum.auto()
    STAGE_SPAWN = enum.auto()
    WARP = enum.auto()
    POLY = enum.auto()
    MOVE_ORDER = enum.auto()
    SPAWN = enum.auto()
    LATER_START = enum.auto()  # not a rule: see `curriculum`


def seed_from_key(key: jax.Array) -> jax.Array:
    """The seed of one step: (2,) uint32 from a typed key or an old uint32 key of any implementation."""
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    if words.dtype != jnp.uint32 or words.ndim != 1 or words.shape[0] % 2:
        raise ValueError(
            f"key has dtype {key.dtype} and shape {key.shape}, expected one key of jax.random.key or "
            "jax.random.PRNGKey; for a batch of keys use jax.vmap"
        )
    seed = words[:2]
    for i in range(2, words.shape[0], 2):
        seed = _mix(seed) ^ words[i : i + 2]
    return seed


def bits(seed: jax.Array, stream: Stream, counter: ArrayLike = 0) -> jax.Array:
    """Uniform 32-bit numbers.

    Args:
        seed: (2, N) uint32.
        stream: the place of use.
        counter: int32 below 2**24, a number or an array that broadcasts to (…, N).

    Returns:
        uint32 (…, N), one number per counter and game.
    """
    counter = jnp.asarray(counter, jnp.int32).astype(jnp.uint32) + np.uint32(int(stream) << 24)
    rank = max(counter.ndim, 1)
    first, second = (word.reshape((1,) * (rank - 1) + word.shape) for word in (seed[0], seed[1]))
    return _mix(_mix(counter * np.uint32(0x9E3779B9) + first) ^ second)


def below(random_bits: jax.Array, limit: jax.Array) -> jax.Array:
    """Uniform integers in [0, limit): the exact floor(bits × limit / 2**32), int32; `limit` int32, at most 65,535."""
    limit = limit.astype(jnp.uint32)
    low = (random_bits & 0xFFFF) * limit
    return (((random_bits >> 16) * limit + (low >> 16)) >> 16).astype(jnp.int32)


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
