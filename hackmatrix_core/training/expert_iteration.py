"""Expert iteration: the network learns from a search that uses it.

A search is a better player than the network in it. So games are played by the search, the policy learns which actions
the search found better than others, the value learns the returns of these games, and the next search starts from a
better network. Anthony et al. 2017 (arXiv:1705.08439). All else (rollout, returns, minibatches, devices) is as in
`masked_ppo`.

What a search says of one state is noisy: it sees one outcome of chance. The usual target, the cross-entropy to the
search's policy (Danihelka et al. 2022), is not linear in that noise and makes the policy ever more undecided: here an
agent that won 52 % of its games won 24 % after half a million states. So the advantages that the search finds take the
place of those of PPO, for all actions that it tried instead of the one that was taken; noise then averages out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from hackmatrix_core.agent import search
from hackmatrix_core.agent.network import masked_categorical
from hackmatrix_core.agent.perception import Percept
from hackmatrix_core.training import masked_ppo
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.masked_ppo import Batch, Choice
from hackmatrix_core.training.metrics import Metrics
from hackmatrix_core.training.runner import Agent, RunnerState, mean_over_devices


class Guidance(NamedTuple):
    """What a search says of one state with A actions."""

    network_policy: jax.Array  # (…, A) float32, before learning
    advantages: jax.Array  # (…, A) float32: value of an action − mean value under the network's policy; 0 if not tried
    kl: jax.Array  # (…) float32, KL(improved policy ‖ network's policy)
    agrees: jax.Array  # (…) bool: both policies have the same likeliest action


def update_step(agent: Agent, runner: RunnerState, done: jax.Array | None = None) -> tuple[RunnerState, Metrics]:
    """One update of a run: expert iteration with `num_simulations` above 0, else PPO. See `masked_ppo.update_step`."""
    if not agent.config.num_simulations:
        return masked_ppo.update_step(agent, runner, done)
    return masked_ppo.update_step(agent, runner, done, search_actions, guided_loss)


def search_actions(
    agent: Agent,
    params: Any,
    env_state: Any,
    obs: jax.Array,
    inputs: jax.Array | Percept,
    mask: jax.Array,
    keys: jax.Array,
) -> Choice:
    """Actions as a search samples them from its improved policy: a `masked_ppo.Choose`."""
    del inputs
    config, env = agent.config, cast(Any, agent.env)  # PPO alone does without the functions of a `search.Model`
    look_ahead = search.Search(env, agent.objective, config.num_simulations, noise=1.0)

    def think(state: Any, obs: jax.Array, mask: jax.Array, key: jax.Array) -> search.Thoughts:
        root = env.for_search(state, search.UNDO_DEPTH) if hasattr(env, "for_search") else state
        return look_ahead(
            lambda obs: agent.apply(params, agent.network_input(obs)), agent.env_params, root, obs, mask, key
        )

    thoughts = jax.vmap(think)(env_state, obs, mask, keys)
    probability = jnp.take_along_axis(thoughts.network_policy, thoughts.action[:, None], axis=1)[:, 0]
    return Choice(thoughts.action, jnp.log(probability), thoughts.network_value, guidance_of(thoughts))


def guidance_of(thoughts: search.Thoughts) -> Guidance:
    """What is learned of the thoughts about states, any leading axes."""
    before, improved = thoughts.network_policy, thoughts.policy
    tried = jnp.where(thoughts.visits > 0, before, 0.0)
    mean = jnp.sum(tried * thoughts.action_values, axis=-1) / jnp.maximum(jnp.sum(tried, axis=-1), _TINY)
    return Guidance(
        network_policy=before,
        advantages=jnp.where(thoughts.visits > 0, thoughts.action_values - mean[..., None], 0.0),
        kl=jnp.sum(improved * jnp.log(jnp.maximum(improved, _TINY) / jnp.maximum(before, _TINY)), axis=-1),
        agrees=jnp.argmax(improved, axis=-1) == jnp.argmax(before, axis=-1),
    )


_TINY = 1e-12


def guided_loss(
    params: Any,
    apply: Callable[[Any, Any], tuple[jax.Array, jax.Array]],
    batch: Batch,
    config: TrainConfig,
    axis: str | None = None,
    exploration: float | jax.Array = 1.0,
) -> tuple[jax.Array, Metrics]:
    """PPO's loss with its clipped surrogate taken over all actions that the search tried: see `masked_ppo.ppo_loss`.

    Each action counts by its probability before learning. Advantages are scaled, not centred: under the network's
    policy their mean is 0 in each state.

    Returns:
        The loss, and the float32 scalars of `ppo_loss` with, from the search, `search_kl`, KL(improved policy ‖
        network's), and `search_agreement`, the share of states where both have the same likeliest action: how much
        the search improves on the network; and `value_error`, the mean distance between value and target.
    """
    steps, guidance = batch.transitions, batch.transitions.guidance
    logits, estimate = apply(params, steps.obs)
    policy, before = masked_categorical(logits, steps.action_mask), guidance.network_policy
    ratio = policy.probs / jnp.maximum(before, _TINY)
    square = jnp.sum(before * jnp.square(guidance.advantages), axis=-1)
    advantages = guidance.advantages / (jnp.sqrt(mean_over_devices(square, axis)) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip_eps, 1.0 + config.clip_eps)
    return masked_ppo.whole_loss(
        -jnp.sum(before * jnp.minimum(ratio * advantages, clipped * advantages), axis=-1),
        policy,
        estimate,
        batch,
        config,
        axis,
        exploration,
        approx_kl=-jnp.sum(before * jnp.log(jnp.maximum(ratio, _TINY)), axis=-1, where=before > _TINY),
        clip_fraction=jnp.sum(jnp.where(jnp.abs(ratio - 1.0) > config.clip_eps, before, 0.0), axis=-1),
        search_kl=guidance.kl,
        search_agreement=guidance.agrees,
        value_error=jnp.abs(steps.value - batch.targets),
    )
