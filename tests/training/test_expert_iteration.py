"""Expert iteration: its loss, and probe environments that only a right implementation solves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.agent.search import Thoughts
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.expert_iteration import Guidance, guidance_of, guided_loss, search_actions
from hackmatrix_core.training.masked_ppo import Batch, Transition, collect
from hackmatrix_core.training.runner import init_runner, make_agent
from hackmatrix_core.training.trainer import make_train
from tests.training import probe_environments as probes

SETTINGS = {
    "num_envs": 16,
    "num_steps": 8,
    "hidden_dim": 16,
    "num_layers": 1,
    "num_minibatches": 2,
    "learning_rate": 1e-2,
    "ent_coef": 0.0,
    "num_simulations": 6,
}


def config_of(updates: int = 60, **changes) -> TrainConfig:
    settings = SETTINGS | changes
    return TrainConfig(**settings, total_timesteps=updates * settings["num_envs"] * settings["num_steps"])


def train(env, config):
    """Trained (logits, value) function of observations, and the metrics."""
    agent = make_agent(config, env)
    runner, metrics = jax.jit(make_train(config, env))(jax.random.key(config.seed))
    return lambda obs: agent.apply(runner.params, jnp.asarray(obs, jnp.float32)), metrics


def test_guidance_equals_the_hand_made_case():
    policy = np.array([0.5, 0.3, 0.2, 0.0], np.float32)
    values = np.array([1.0, 3.0, 0.0, 0.0], np.float32)
    improved = np.array([0.25, 0.7, 0.05, 0.0], np.float32)
    visits = jnp.array([2, 4, 0, 0], jnp.int32)
    zero = jnp.float32(0)
    thoughts = Thoughts(jnp.int32(1), improved, visits, jnp.asarray(values), zero, jnp.asarray(policy), zero)
    guidance = guidance_of(thoughts)
    mean = (0.5 * 1 + 0.3 * 3) / 0.8
    np.testing.assert_allclose(guidance.advantages, [1 - mean, 3 - mean, 0, 0], atol=1e-6)
    assert float(jnp.sum(guidance.advantages * policy)) == pytest.approx(0, abs=1e-6)
    assert guidance.kl == pytest.approx(np.sum(improved[:3] * np.log(improved[:3] / policy[:3])), rel=1e-5)
    assert not guidance.agrees


def test_loss_and_metrics_equal_the_hand_made_case():
    before = np.array([[0.6, 0.4, 0.0], [0.2, 0.3, 0.5]], np.float32)
    advantages = np.array([[1.0, -1.5, 0.0], [2.0, -3.0, 1.0]], np.float32)
    logits = np.array([[0.0, 1.0, 5.0], [0.0, 1.0, 2.0]], np.float32)
    mask = np.array([[True, True, False], [True, True, True]])
    values, targets = np.array([1.0, -2.0], np.float32), np.array([3.0, -1.0], np.float32)
    zeros, none = jnp.zeros(2, jnp.float32), jnp.zeros(2, bool)
    guidance = Guidance(*map(jnp.asarray, (before, advantages, [0.5, 1.5], [True, False])))
    steps = Transition(zeros, none, zeros, none, none, zeros, zeros, jnp.asarray(values), mask, guidance)
    config = TrainConfig(vf_coef=0.7, ent_coef=0.2, uniform_coef=0.3)

    scale = np.sqrt(np.mean(np.sum(before * advantages**2, axis=1)))
    policy_loss, entropy, uniform = 0.0, 0.0, 0.0
    for i in range(2):
        valid = np.flatnonzero(mask[i])
        p = np.exp(logits[i][valid]) / np.exp(logits[i][valid]).sum()
        ratio = p / before[i][valid]
        a = advantages[i][valid] / scale
        policy_loss -= np.sum(before[i][valid] * np.minimum(ratio * a, np.clip(ratio, 0.8, 1.2) * a)) / 2
        entropy -= np.sum(p * np.log(p)) / 2
        uniform += np.mean(np.log(1 / len(p) / p)) / 2
    value_loss = 0.5 * np.mean((values - targets) ** 2)

    batch = Batch(steps, zeros, jnp.asarray(targets))
    loss, metrics = guided_loss(None, lambda _, obs: (logits, values), batch, config, exploration=0.5)
    assert loss == pytest.approx(policy_loss + 0.7 * value_loss - 0.5 * (0.2 * entropy - 0.3 * uniform), rel=1e-5)
    assert metrics["search_kl"] == 1.0
    assert metrics["search_agreement"] == 0.5
    assert metrics["value_error"] == pytest.approx(1.5)


def test_what_is_learned_belongs_to_the_state_that_was_searched():
    config = config_of()
    agent = make_agent(config, probes.MaskedAction())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(0))
    _, transitions, _ = jax.jit(lambda runner: collect(agent, runner, search_actions))(runner)
    guidance, masks = transitions.guidance, transitions.action_mask
    assert not jnp.any((guidance.advantages != 0) & ~masks)
    assert not jnp.any((guidance.network_policy > 0) & ~masks)
    assert jnp.all(jnp.take_along_axis(masks, transitions.action[..., None], axis=-1))
    # Of a state one look ahead shows all: the best valid action is worth the most.
    best = jnp.where(masks[..., 3], 3, 2)
    assert jnp.all(jnp.argmax(guidance.advantages, axis=-1) == best)


@pytest.mark.parametrize("value_bins", [0, 61])
def test_it_learns_the_action_that_is_seen_to_be_right(value_bins):
    apply, metrics = train(probes.CuedAction(), config_of(value_bins=value_bins))
    logits, value = apply([[0.0, 1.0], [1.0, 0.0]])
    assert jnp.argmax(logits, axis=-1).tolist() == [0, 1]
    np.testing.assert_allclose(value, 1.0, atol=0.1)
    assert metrics["search_agreement"][-1] > 0.99
    assert metrics["search_kl"][-1] < metrics["search_kl"][0]


def test_the_tree_sees_what_comes_two_steps_later():
    # The network's values stay 0: only the reward in the tree, one step after the choice, can tell.
    config = config_of(updates=1, vf_coef=0.0, num_simulations=12)
    agent = make_agent(config, probes.TwoStepCredit())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(0))
    runner = runner._replace(params=jax.tree.map(jnp.zeros_like, runner.params))
    _, transitions, _ = jax.jit(lambda runner: collect(agent, runner, search_actions))(runner)
    first = transitions.obs[..., 0] == 1
    advantages = transitions.guidance.advantages
    assert jnp.all(jnp.where(first, advantages[..., 1] > 0.3, True))
    assert jnp.all(jnp.where(first, advantages[..., 0] < -0.3, True))


def test_an_end_is_worth_nothing_and_a_cut_is_not_an_end():
    gamma = 0.9
    for env, value in ((probes.Terminating(), None), (probes.Truncating(), 1 / (1 - gamma))):
        apply, _ = train(env, config_of(updates=300, gamma=gamma, learning_rate=2e-2, anneal_to=0.1))
        found = float(apply([[1.0]])[1][0])
        if value is None:  # four steps that look alike: the mean of 1, 1.9, 2.71 and 3.44
            value = np.mean(np.cumsum(gamma ** np.arange(4)))
        assert found == pytest.approx(value, rel=0.15)


def test_without_simulations_it_is_ppo():
    config = dataclasses.replace(config_of(updates=3), num_simulations=0)
    _, metrics = train(probes.CuedAction(), config)
    assert "approx_kl" in metrics
    assert "search_kl" not in metrics
