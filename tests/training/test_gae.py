"""Advantage estimates against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.training.ppo import Transition, compute_gae

pytestmark = pytest.mark.quick


def make_transitions(seed: int, steps: int, envs: int) -> tuple[Transition, np.ndarray]:
    random = np.random.default_rng(seed)
    done = random.random((steps, envs)) < 0.3
    truncated = done & (random.random((steps, envs)) < 0.5)
    reward, value, final = random.normal(size=(3, steps, envs)).astype(np.float32)
    transitions = Transition(
        obs=jnp.zeros((steps, envs, 1), jnp.float32),
        action=jnp.zeros((steps, envs), jnp.int32),
        reward=jnp.asarray(reward),
        done=jnp.asarray(done),
        truncated=jnp.asarray(truncated),
        final_value=jnp.asarray(np.where(truncated, final, np.float32(0))),
        log_prob=jnp.zeros((steps, envs), jnp.float32),
        value=jnp.asarray(value),
        action_mask=jnp.ones((steps, envs, 2), bool),
    )
    return transitions, random.normal(size=envs).astype(np.float32)


def plain_gae(steps: Transition, last_value: np.ndarray, gamma: float, gae_lambda: float) -> np.ndarray:
    """Each advantage by its definition: the discounted sum of later TD errors up to the end of the episode."""
    reward, done, truncated, final, value = (
        np.asarray(x) for x in (steps.reward, steps.done, steps.truncated, steps.final_value, steps.value)
    )
    horizon, envs = reward.shape
    advantages = np.zeros((horizon, envs))
    for env in range(envs):
        for start in range(horizon):
            weight = 1.0
            for t in range(start, horizon):
                if truncated[t, env]:
                    after = final[t, env]
                elif done[t, env]:
                    after = 0.0
                else:
                    after = value[t + 1, env] if t + 1 < horizon else last_value[env]
                advantages[start, env] += weight * (reward[t, env] + gamma * after - value[t, env])
                weight *= gamma * gae_lambda
                if done[t, env]:
                    break
    return advantages


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), (0.0, 0.9)])
def test_gae_equals_plain_loop(gamma, gae_lambda):
    transitions, last_value = make_transitions(0, steps=17, envs=9)
    advantages, targets = jax.jit(compute_gae)(transitions, jnp.asarray(last_value), gamma, gae_lambda)
    expected = plain_gae(transitions, last_value, gamma, gae_lambda)
    np.testing.assert_allclose(advantages, expected, atol=1e-5)
    np.testing.assert_allclose(targets, expected + np.asarray(transitions.value), atol=1e-5)


def test_nothing_leaks_from_the_next_episode():
    transitions, last_value = make_transitions(1, steps=6, envs=1)
    done = jnp.zeros((6, 1), bool).at[2].set(True)
    transitions = transitions._replace(done=done, truncated=jnp.zeros_like(done), final_value=jnp.zeros((6, 1)))
    before, _ = compute_gae(transitions, jnp.asarray(last_value), 0.99, 0.95)
    changed = transitions._replace(
        reward=transitions.reward.at[3:].add(100.0), value=transitions.value.at[3:].add(50.0)
    )
    after, _ = compute_gae(changed, jnp.asarray(last_value), 0.99, 0.95)
    np.testing.assert_array_equal(before[:3], after[:3])
    assert (jnp.abs(before[3:] - after[3:]) > 1.0).any()
