"""Proximal policy optimisation over valid actions only, from a rollout to one update.

Reads from top to bottom: what a rollout stores, how it is collected, advantages, the loss, and one update made of all
of it. Everything is a pure function of arrays. PPO: Schulman et al. 2017 (arXiv:1707.06347); advantages: Schulman et
al. 2015 (arXiv:1506.02438).

The environments of a run may be spread over devices (see `devices`): each function then works on the device's share of
them, and averages over the named axis `Agent.axis` where all count.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from hackmatrix_core.agent.network import Categorical, masked_categorical
from hackmatrix_core.agent.perception import Percept
from hackmatrix_core.game.vectorization.reductions import anywhere
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.metrics import Metrics, rollout_metrics, rollout_sums
from hackmatrix_core.training.runner import Agent, RunnerState, mean_over_devices, numbers_of, over_devices


class Transition(NamedTuple):
    """One step of a rollout; arrays have leading axes (num_steps, num_envs).

    Observation, mask, log-probability and value all belong to the state *before* the action.
    """

    obs: jax.Array | Percept  # as `Agent.network_input` gives it: small integers where it can
    action: jax.Array  # int32
    reward: jax.Array  # float32, as learning sees it (`Objective.learned`)
    done: jax.Array  # bool, the episode ended here, for either reason
    truncated: jax.Array  # bool, it was cut off, so its value counts on
    final_value: jax.Array  # float32, value of the observation after a cut, 0 elsewhere
    log_prob: jax.Array  # float32
    value: jax.Array  # float32
    action_mask: jax.Array  # (…, A) bool


class Batch(NamedTuple):
    """What the loss looks at: transitions with their advantages and value targets; equal leading axes."""

    transitions: Transition
    advantages: jax.Array  # float32
    targets: jax.Array  # float32


def collect(agent: Agent, runner: RunnerState) -> tuple[RunnerState, Transition, Metrics]:
    """Play `num_steps` steps in every environment with the current network.

    Returns:
        The runner with its environments moved on, the transitions (num_steps, num_envs, …), and what the rollout
        shows: see `rollout_metrics`.
    """
    config, env, params = agent.config, agent.env, runner.params
    count = runner.obs.shape[0]
    step = jax.vmap(env.step, (0, 0, 0, None))
    get_action_mask = jax.vmap(env.get_action_mask)

    def play(carry: tuple[Any, jax.Array], keys: jax.Array) -> tuple[tuple, tuple[Transition, Any]]:
        env_state, obs = carry
        action_keys, step_keys = keys
        mask = get_action_mask(env_state)
        inputs = agent.network_input(obs)
        logits, value = agent.apply(params, inputs)
        policy = masked_categorical(logits, mask)
        action = jax.vmap(jax.random.categorical)(action_keys, policy.logits).astype(jnp.int32)
        next_obs, env_state, reward, done, info = step(step_keys, env_state, action, agent.env_params)
        truncated = info["truncated"]
        # A cut episode is rare, so the forward pass for its last observation is paid only where there is one.
        final_value = lax.cond(
            anywhere(truncated),
            lambda: jnp.where(truncated, agent.apply(params, agent.network_input(info["final_observation"]))[1], 0.0),
            lambda: jnp.zeros_like(value),
        )
        transition = Transition(
            obs=inputs,
            action=action,
            reward=agent.objective.learned(reward, info),
            done=done,
            truncated=truncated,
            final_value=final_value,
            log_prob=policy.log_prob(action),
            value=value,
            action_mask=mask,
        )
        return (env_state, next_obs), (transition, rollout_sums(info, action, env.num_actions))

    # All keys at once: threefry is a loop of many kernels, and kernels are what takes time to compile.
    key, rollout_key = jax.random.split(runner.key)
    keys = agent.env_keys(rollout_key, count, 2 * config.num_steps).reshape(config.num_steps, 2, count)
    (env_state, obs), (transitions, sums) = lax.scan(play, (runner.env_state, runner.obs), keys)
    runner = runner._replace(env_state=env_state, obs=obs, key=key)
    sums = jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)
    return runner, transitions, rollout_metrics(sums if agent.axis is None else lax.psum(sums, agent.axis))


def compute_gae(
    transitions: Transition, last_value: jax.Array, gamma: float | jax.Array, gae_lambda: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Generalised advantage estimates and value targets.

    A terminated episode is worth nothing more; a truncated one is worth the value of its final observation. In
    neither case does anything leak back from the next episode.

    Args:
        transitions: of a rollout, leading axes (T, N).
        last_value: float32 (N,), value of the observations after the last step.
        gamma: discount, a number or () float32.
        gae_lambda: weight of long returns, a number or () float32.

    Returns:
        advantages and targets, float32 (T, N).
    """

    def backward(carry: tuple[jax.Array, jax.Array], step: Transition) -> tuple[tuple, jax.Array]:
        advantage, next_value = carry
        value_after = jnp.where(step.done, step.final_value, next_value)
        delta = step.reward + gamma * value_after - step.value
        advantage = delta + gamma * gae_lambda * jnp.where(step.done, 0.0, advantage)
        return (advantage, step.value), advantage

    slim = transitions._replace(obs=None, action_mask=None)  # type: ignore[arg-type]  # not needed here
    _, advantages = lax.scan(backward, (jnp.zeros_like(last_value), last_value), slim, reverse=True)
    return advantages, advantages + transitions.value


def ppo_loss(
    params: Any,
    apply: Callable[[Any, Any], tuple[jax.Array, jax.Array]],
    batch: Batch,
    config: TrainConfig | Hyperparameters,
    axis: str | None = None,
    exploration: float | jax.Array = 1.0,
) -> tuple[jax.Array, Metrics]:
    """The loss of PPO: clipped surrogate + vf_coef × value loss − ent_coef × entropy + uniform_coef × divergence.

    The divergence is that of a uniform choice over the valid actions from the policy, KL(uniform ‖ policy). Where the
    entropy's pull on an action vanishes with its probability, this one's stays, so that no valid action dies out.

    Args:
        params: of the network.
        apply: maps parameters and observations to logits and values.
        batch: any leading axes, (B,) in training; advantages are normalised over the batch.
        config: its clip_eps, vf_coef, ent_coef and uniform_coef.
        axis: of the devices that the batch is spread over, if it is: the loss is then the part of this device, and
            the mean over devices is the loss of the whole batch.
        exploration: () float32, the fraction of ent_coef and uniform_coef that is left (`TrainConfig.anneal_to`).

    Returns:
        The loss, and float32 scalars: its parts `policy_loss`, `value_loss`, `entropy`, `uniform_divergence`;
        `relative_entropy`, the entropy as a share of that of a uniform choice, over states with a choice; `approx_kl`;
        `clip_fraction`.
    """
    steps, advantages = batch.transitions, batch.advantages
    logits, value = apply(params, steps.obs)
    policy = masked_categorical(logits, steps.action_mask)

    log_ratio = policy.log_prob(steps.action) - steps.log_prob
    ratio = jnp.exp(log_ratio)
    advantages = advantages - mean_over_devices(advantages, axis)
    advantages = advantages / (jnp.sqrt(mean_over_devices(jnp.square(advantages), axis)) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip_eps, 1.0 + config.clip_eps)

    entropies = policy.entropy()
    relative_entropies, has_choice = _relative_entropies(entropies, steps.action_mask)
    means = _means(
        policy_loss=-jnp.minimum(ratio * advantages, clipped * advantages),
        value_loss=0.5 * jnp.square(value - batch.targets),
        entropy=entropies,
        uniform_divergence=_divergence_from_uniform(policy, steps.action_mask),
        relative_entropy=relative_entropies / (mean_over_devices(has_choice, axis) + 1e-8),
        approx_kl=ratio - 1.0 - log_ratio,
        clip_fraction=jnp.abs(ratio - 1.0) > config.clip_eps,
    )
    explores = exploration * (config.ent_coef * means["entropy"] - config.uniform_coef * means["uniform_divergence"])
    return means["policy_loss"] + config.vf_coef * means["value_loss"] - explores, lax.stop_gradient(means)


def _means(**numbers: jax.Array) -> Metrics:
    """The mean of each array, all of one shape."""
    rows = jnp.stack([x.astype(jnp.float32).reshape(-1) for x in numbers.values()])
    return Metrics(tuple((name, None) for name in numbers), jnp.mean(rows, axis=1))


def _divergence_from_uniform(policy: Categorical, mask: jax.Array) -> jax.Array:
    """KL(uniform over the valid actions ‖ policy): bool (…, A) to float32 (…); 0 where none is valid."""
    num_valid = jnp.maximum(jnp.sum(mask, axis=-1, dtype=jnp.float32), 1.0)
    log_probs = jnp.sum(jnp.where(mask, policy.logits, 0.0), axis=-1)
    return jnp.where(jnp.any(mask, axis=-1), -log_probs / num_valid - jnp.log(num_valid), 0.0)


def _relative_entropies(entropies: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Entropy / log(number of valid actions) where there are at least two of them, else 0; and 1 for those states."""
    num_valid = jnp.sum(mask, axis=-1, dtype=jnp.float32)
    has_choice = num_valid > 1.0
    relative = jnp.where(has_choice, entropies / jnp.log(jnp.maximum(num_valid, 2.0)), 0.0)
    return relative, has_choice.astype(jnp.float32)


def update_step(agent: Agent, runner: RunnerState, done: jax.Array | None = None) -> tuple[RunnerState, Metrics]:
    """One update: collect, estimate advantages, and go over the rollout `update_epochs` times.

    A minibatch holds whole environments, drawn again in each epoch: the same estimate of the gradient at a fraction of
    the memory traffic of a shuffle of single steps. Each takes one of every `num_minibatches` neighbours, so that no
    environment has to leave its device.

    Args:
        agent: the run's fixed parts.
        runner: the state before the update.
        done: () float32, the share of the run that is done, which decides what is annealed; None: by the number of
            updates and `total_timesteps`.

    Returns:
        The runner after the update, and the metrics of `rollout_metrics` and `ppo_loss` (the latter as means over all
        minibatches) with `explained_variance`, the share of the targets' variance that the values predicted.
    """
    config = agent.config
    agent = agent.at(runner.update.astype(jnp.float32) / config.num_updates if done is None else done)
    runner, transitions, metrics = collect(agent, runner)
    _, last_value = agent.apply(runner.params, agent.network_input(runner.obs))
    advantages, targets = compute_gae(transitions, last_value, agent.objective.gamma, agent.hyperparameters.gae_lambda)
    rollout = Batch(transitions, advantages, targets)

    def learn(carry: tuple[Any, Any], columns: jax.Array) -> tuple[tuple[Any, Any], Metrics]:
        params, opt_state = carry
        batch = jax.tree.map(lambda x: _flat(jnp.take(x, columns, axis=1)), rollout)
        gradients, loss_metrics = jax.grad(ppo_loss, has_aux=True)(
            params, agent.apply, batch, agent.hyperparameters, agent.axis, agent.annealing
        )
        gradients, loss_metrics = over_devices((gradients, loss_metrics), agent.axis)
        with jax.numpy_dtype_promotion("standard"):  # Adam raises a float to an integer count
            updates, opt_state = agent.optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss_metrics

    key, shuffle_key = jax.random.split(runner.key)
    columns = _minibatches(agent, shuffle_key, runner.obs.shape[0])
    (params, opt_state), loss_metrics = lax.scan(learn, (runner.params, runner.opt_state), columns)

    metrics = metrics.joined_with(jax.tree.map(lambda x: jnp.mean(x, axis=0), loss_metrics))
    foreseen = _explained_variance(advantages, targets, agent.axis)
    metrics = metrics.joined_with(Metrics.of(explained_variance=foreseen))
    return runner._replace(params=params, opt_state=opt_state, key=key, update=runner.update + 1), metrics


def _minibatches(agent: Agent, key: jax.Array, count: int) -> jax.Array:
    """The `count` environments of this device, dealt into minibatches, again in each epoch.

    Returns:
        int32 (update_epochs × num_minibatches, …) of their indices.
    """
    config = agent.config
    parts, groups = config.num_minibatches, count // config.num_minibatches
    # Drawn for the whole run on every device: the numbers are few, and each device uses those of its own groups.
    draws = jax.random.bits(key, (config.num_envs * config.update_epochs,), jnp.uint32)
    draws = draws.reshape(-1, config.update_epochs, parts)
    deal = jnp.argsort(draws[numbers_of(groups, agent.axis)], axis=-1).astype(jnp.int32)
    columns = deal + jnp.arange(0, count, parts, dtype=jnp.int32)[:, None, None]
    return jnp.moveaxis(columns, 0, -1).reshape(-1, groups)


def _explained_variance(advantages: jax.Array, targets: jax.Array, axis: str | None) -> jax.Array:
    """The share of the targets' variance that the values, which are targets − advantages, predicted."""
    both = jnp.stack([advantages.reshape(-1), targets.reshape(-1)])
    means = over_devices(jnp.mean(both, axis=1, keepdims=True), axis)
    left, variance = over_devices(jnp.mean(jnp.square(both - means), axis=1), axis)
    return 1.0 - left / (variance + 1e-8)


def _flat(x: jax.Array) -> jax.Array:
    """Time and environment axes as one."""
    return x.reshape(-1, *x.shape[2:])
