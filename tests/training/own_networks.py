"""Networks as users write them: good ones, and one for each mistake."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp


class Small(nn.Module):
    """Dense layers whose initialiser decomposes matrices; takes one batch axis only."""

    num_actions: int = 28
    sizes: tuple[int, ...] = (8,)
    activation: Callable = nn.relu

    @nn.compact
    def __call__(self, observations):
        x = observations.reshape(observations.shape[0], -1)
        for size in self.sizes:
            x = self.activation(nn.Dense(size, kernel_init=nn.initializers.orthogonal(2.0))(x))
        return nn.Dense(self.num_actions)(x), nn.Dense(1)(x)[:, 0]


class Perceiving(nn.Module):
    """Sees percepts."""

    takes_percept = True
    width: int = 8

    @nn.compact
    def __call__(self, percept):
        cells = nn.Dense(self.width)(percept.cells.astype(jnp.float32))
        x = jnp.concatenate([cells.reshape(cells.shape[0], -1), percept.facts.astype(jnp.float32)], axis=-1)
        return nn.Dense(28)(x) / 100, nn.Dense(1)(x)[:, 0] / 100


class Heads(nn.Module):
    """The base of those that are wrong."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(28)(x), nn.Dense(1)(x)[:, 0]


class LogitsOnly(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(28)(x)


class TooFewLogits(Heads):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(27)(x), nn.Dense(1)(x)[:, 0]


class ColumnOfValues(Heads):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(28)(x), nn.Dense(1)(x)


class HalfLogits(Heads):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(28, dtype=jnp.bfloat16)(x), nn.Dense(1)(x)[:, 0]


class HalfParameters(Heads):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(28, param_dtype=jnp.bfloat16, dtype=jnp.float32)(x), nn.Dense(1)(x)[:, 0]


class WholeParameters(Heads):
    @nn.compact
    def __call__(self, x):
        count = self.param("count", lambda key: jnp.zeros((), jnp.int32))
        logits, value = Heads()(x)
        return logits + count.astype(jnp.float32), value


class PairOfParameters(Heads):
    @nn.compact
    def __call__(self, x):
        scale, _ = self.param("scales", lambda key: (jnp.ones(()), jnp.ones(())))
        logits, value = Heads()(x)
        return logits * scale, value


class BoxedParameters(Heads):
    @nn.compact
    def __call__(self, x):
        init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
        return nn.Dense(28, kernel_init=init)(x), nn.Dense(1)(x)[:, 0]


class NoParameters(Heads):
    @nn.compact
    def __call__(self, x):
        return x[:, :28], x[:, 0]


class Statistics(Heads):
    @nn.compact
    def __call__(self, x):
        return Heads()(nn.BatchNorm(use_running_average=True)(x))


class Dropping(Heads):
    @nn.compact
    def __call__(self, x):
        return Heads()(nn.Dropout(0.5, deterministic=False)(x))


class OneBatchOnly(Heads):
    @nn.compact
    def __call__(self, x):
        return Heads()(x.reshape(1, -1))


class MoreArguments(Heads):
    @nn.compact
    def __call__(self, x, is_training):
        return Heads()(x)


class Failing(Heads):
    @nn.compact
    def __call__(self, x):
        raise RuntimeError("no such thing\nas this")


class Listed(Heads):
    sizes: list[int] = (8,)


class Needy(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        return Heads()(nn.Dense(self.width)(x))


NOT_A_MODULE = dict
