"""The network, and its distribution over valid actions. Masked logits: Huang and Ontañón 2020 (arXiv:2006.14171)."""

import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.agent.board_encoder import BoardEncoder, on_real_board, orthogonal
from hackmatrix_core.agent.perception import Percept, perceive

with warnings.catch_warnings():  # what it imports, TensorFlow Probability, warns of itself
    warnings.simplefilter("ignore")
    from distrax import Categorical

_FORBIDDEN = -1e9


def masked_categorical(logits: jax.Array, mask: jax.Array) -> Categorical:
    """The distribution over valid actions.

    Invalid actions have probability exactly 0 and add nothing to entropy or gradients. Where no action is valid
    (which the game can bring about, R4.1) the distribution is uniform over all of them.

    Args:
        logits: float32 (…, A), finite.
        mask: bool (…, A), True for valid actions.
    """
    any_valid = jnp.any(mask, axis=-1, keepdims=True)
    # Relative to the largest valid logit, so that no finite logits bring a valid action near the forbidden ones.
    largest = jnp.max(logits, axis=-1, keepdims=True, where=mask, initial=np.float32(-np.inf))
    shifted = logits - lax.stop_gradient(jnp.where(any_valid, largest, 0.0))
    return Categorical(logits=jnp.where(any_valid, jnp.where(mask, shifted, _FORBIDDEN), 0.0), dtype=jnp.int32)


def network_input(network: nn.Module, observations: jax.Array) -> jax.Array | Percept:
    """What a network is given of observations, (N, D): a `Percept` if it has `takes_percept`, else themselves."""
    return perceive(observations) if getattr(network, "takes_percept", False) else observations


class ActorCritic(nn.Module):
    """Policy and value on one shared stack of layers, with orthogonal weights at the start.

    Maps observations, float32 (…, D), to logits, float32 (…, num_actions), and values, float32 (…). With `cell_dim`
    above 0 the observations are those of HackMatrix; they are perceived, and a `BoardEncoder` comes before the layers.
    What was perceived already (a `Percept`) is taken as well.
    """

    num_actions: int
    hidden_dim: int = 256
    num_layers: int = 2
    cell_dim: int = 0

    @property
    def takes_percept(self) -> bool:
        """Whether `network_input` perceives its observations."""
        return self.cell_dim > 0

    @nn.compact
    def __call__(self, observation: jax.Array | Percept) -> tuple[jax.Array, jax.Array]:
        """Logits and value of each observation."""
        if not self.cell_dim:
            return self._heads(observation)  # type: ignore[arg-type]  # perceived is what `cell_dim` is for
        if isinstance(observation, Percept):
            leading = observation.pose.shape
            percept = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(leading) :]), observation)
        else:
            leading = observation.shape[:-1]
            percept = perceive(observation.reshape(-1, observation.shape[-1]))
        logits, value = self._heads(BoardEncoder(self.cell_dim)(percept))
        return on_real_board(logits, percept.pose).reshape(*leading, -1), value.reshape(leading)

    def _heads(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        for _ in range(self.num_layers):
            x = nn.relu(_dense(self.hidden_dim, np.sqrt(2))(x))
        # Small first logits: near uniform play at the start, whatever the observation.
        return _dense(self.num_actions, 0.01)(x), _dense(1, 1.0)(x)[..., 0]


def _dense(features: int, scale: float) -> nn.Dense:
    return nn.Dense(features, kernel_init=orthogonal(scale))
