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
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from hackmatrix_core.agent import baselines
from hackmatrix_core.agent.network import Categorical, masked_categorical, network_input
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.game import GameState
from hackmatrix_core.game.arguments import short
from hackmatrix_core.game.observation import decode
from hackmatrix_core.game.step import compact_observation


class Policy(Protocol):
    """Chooses the action for one game; see the top of this file."""

    def __call__(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
        """The action: () int32."""


@flax.struct.dataclass(eq=False)  # as functions are: each is equal to itself alone
class NetworkPolicy:
    """A trained network that plays: it samples from its distribution, or takes the likeliest action if `greedy`."""

    params: Any
    network: nn.Module = flax.struct.field(pytree_node=False)
    greedy: bool = flax.struct.field(pytree_node=False, default=False)
    objective: Objective = flax.struct.field(default_factory=Objective)
    """What its value counts."""
    takes_compact: ClassVar[bool] = True
    """Whether `observe_for` leaves its observations as integers: what it perceives are integers, too."""

    def __call__(self, state: GameState, observation: jax.Array, action_mask: jax.Array, key: jax.Array) -> jax.Array:
        """The action: () int32."""
        distribution, _ = self.distribution(observation, action_mask)
        return distribution.mode() if self.greedy else distribution.sample(seed=key)

    def distribution(self, observation: jax.Array, action_mask: jax.Array) -> tuple[Categorical, jax.Array]:
        """The distribution over actions and the value: float32 (…, 1545) and bool (…, 28) to float32 (…)."""
        logits, value = self.evaluate(jnp.asarray(observation))
        return masked_categorical(logits, action_mask), value

    def evaluate(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The network's logits, float32 (…, 28), and value, (…); of observations as `observe` or as compact ones."""
        leading = observation.shape[:-1]
        inputs = network_input(self.network, observation.reshape(-1, observation.shape[-1]))
        if isinstance(inputs, jax.Array) and inputs.dtype == jnp.uint8:
            inputs = decode(inputs)
        outputs: Any = self.network.apply(self.params, inputs)
        logits, value = outputs
        return logits.reshape(*leading, -1), value.reshape(leading)


def observe_for(policy: Policy, state: GameState) -> jax.Array:
    """The observation of one game in the form that a policy takes: float32 (R11), or uint8 for networks."""
    return as_taken(policy, compact_observation(state))


def as_taken(policy: Policy, compact: jax.Array) -> jax.Array:
    """Compact observations, uint8 (…, 1545), in the form that a policy takes."""
    return compact if getattr(policy, "takes_compact", False) else decode(compact)


def as_pytree(policy: Policy) -> Policy:
    """The policy as an argument of compiled functions; a plain function, without arrays, is part of the program.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(policy):
        name = repr(policy) if isinstance(policy, str | os.PathLike) else "'greedy'"
        raise TypeError(f"policy is {short(policy)}, expected one as hm.load_policy({name}) gives it")
    return jax.tree_util.Partial(policy) if jax.tree_util.all_leaves([policy]) else policy


BASELINES: dict[str, Policy] = {"random": baselines.random, "greedy": baselines.greedy}
