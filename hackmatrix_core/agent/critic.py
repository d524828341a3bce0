"""The critic: what it learns of returns, and in which units.

A win pays a thousand times what a step towards the exit does. Rewards may be made comparable by `symlog` before they
are learned. Or the critic learns the distribution of the return, over bins that lie closer near 0, and no return,
however large, moves more than a probability (two-hot targets: Hafner et al. 2023, arXiv:2301.04104; why a distribution
learns better than a number: Farebrother et al. 2024, arXiv:2403.03950). Each target is shared between its two bins so
that the mean is kept exactly. The value is that mean: an expected return, not that of a typical game.
"""

import jax
import jax.numpy as jnp
import numpy as np

_LOWEST, _HIGHEST = -5.0, 10.0
_FIRST_SPREAD = 0.5


def symlog(x: jax.Array) -> jax.Array:
    """sign(x) × log(1 + |x|): float32, any shape."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def bins(count: int) -> np.ndarray:
    """The returns that the bins stand for: float32 (count,), from −147 to 22,025, evenly spaced under `symlog`."""
    places = np.linspace(_LOWEST, _HIGHEST, count)
    return (np.sign(places) * np.expm1(np.abs(places))).astype(np.float32)


def first_logits(count: int) -> np.ndarray:
    """Logits of a return near 0, for the start of training: float32 (count,)."""
    return (-0.5 * np.square(np.linspace(_LOWEST, _HIGHEST, count) / _FIRST_SPREAD)).astype(np.float32)


def mean(logits: jax.Array) -> jax.Array:
    """The value: float32 (…, bins) to (…)."""
    return jax.nn.softmax(logits) @ bins(logits.shape[-1])


def loss(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """How far an estimate is from the return that came: float32 (…).

    Args:
        estimate: float32 (…), a value; or (…, bins), the logits of a distribution.
        target: float32 (…).

    Returns:
        Half of the squared error; or the cross-entropy to the target, shared between two bins.
    """
    if estimate.ndim == target.ndim:
        return 0.5 * jnp.square(estimate - target)
    centers = bins(estimate.shape[-1])
    target = jnp.clip(target, centers[0], centers[-1])
    above = jnp.clip(jnp.searchsorted(jnp.asarray(centers), target), 1, len(centers) - 1).astype(jnp.int32)
    low, high = jnp.take(centers, above - 1), jnp.take(centers, above)
    weight = (target - low) / (high - low)
    below_share, above_share = (
        jax.nn.one_hot(place, len(centers), dtype=jnp.float32) * share[..., None]
        for place, share in ((above - 1, 1.0 - weight), (above, weight))
    )
    return -jnp.sum((below_share + above_share) * jax.nn.log_softmax(estimate), axis=-1)
