"""What a policy is, and the policy of a trained network.

A policy is a function of one game, `policy(state, observation, action_mask, key) -> action`:

    state         GameState, for policies that know the rules
    observation   float32 (1545,), R11
    action_mask   bool (28,), R4.1
    key           typed key, for policies that choose at random
    action        () int32

It has to work under `jax.jit` and `jax.vmap`. A policy with arrays of its own is a pytree.
"""

import os
from typing import Any, Protocol

import distrax
import flax.struct
import jax
import jax.numpy as jnp

from hackmatrix_core.agent import baselines, pretrained
from hackmatrix_core.agent.network import ActorCritic, masked_categorical
from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import NUM_ACTIONS
from hackmatrix_core.training.checkpointing import load_params
from hackmatrix_core.training.config import TrainConfig


class Policy(Protocol):
    """Chooses the action for one game; see the module's head."""

    def __call__(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
        """The action: () int32."""
        ...


@flax.struct.dataclass
class NetworkPolicy:
    """A trained network that plays: it samples from its distribution, or takes the likeliest action if `greedy`."""

    params: Any
    hidden_dim: int = flax.struct.field(pytree_node=False)
    num_layers: int = flax.struct.field(pytree_node=False)
    greedy: bool = flax.struct.field(pytree_node=False, default=False)
    cell_dim: int = flax.struct.field(pytree_node=False, default=0)

    def __call__(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
        """The action: () int32."""
        distribution, _ = self.distribution(observation, action_mask)
        return distribution.mode() if self.greedy else distribution.sample(seed=key)

    def distribution(self, observation: jax.Array, action_mask: jax.Array) -> tuple[distrax.Categorical, jax.Array]:
        """The distribution over actions and the value: float32 (…, 1545) and bool (…, 28) to float32 (…)."""
        network = ActorCritic(NUM_ACTIONS, self.hidden_dim, self.num_layers, self.cell_dim)
        outputs: Any = network.apply(self.params, jnp.asarray(observation))
        logits, value = outputs
        return masked_categorical(logits, action_mask), value


def load_policy(path_or_name: str | os.PathLike, *, greedy: bool = False) -> Policy:
    """The policy of a run, the pretrained agent, or a baseline by its name.

    Args:
        path_or_name: `pretrained`, `random`, `greedy`, or a path: a run directory (its newest checkpoint), or one
            checkpoint in it.
        greedy: for a network: the likeliest action instead of a sampled one.

    Raises:
        CheckpointError: no checkpoint there, or it can not be read.
    """
    if path_or_name in BASELINES:
        return BASELINES[path_or_name]
    params, about = pretrained.load() if path_or_name == "pretrained" else load_params(path_or_name)
    config = TrainConfig.from_dict(about["config"])
    return NetworkPolicy(params, config.hidden_dim, config.num_layers, greedy, config.cell_dim)


def as_pytree(policy: Policy) -> Policy:
    """The policy as an argument of compiled functions; a plain function, without arrays, is part of the program."""
    return jax.tree_util.Partial(policy) if jax.tree_util.all_leaves([policy]) else policy


BASELINES: dict[str, Policy] = {"random": baselines.random, "greedy": baselines.greedy}
