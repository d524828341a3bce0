"""The masked distribution and the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.agent.network import ActorCritic, masked_categorical

ROWS = 64


@pytest.fixture
def logits_and_mask():
    logits_key, mask_key = jax.random.split(jax.random.key(3))
    logits = 5.0 * jax.random.normal(logits_key, (ROWS, 28), jnp.float32)
    mask = jax.random.bernoulli(mask_key, 0.3, (ROWS, 28)).at[0].set(False).at[1].set(jnp.arange(28) == 7)
    return logits, mask


def test_probabilities_are_the_softmax_over_valid_actions(logits_and_mask):
    logits, mask = (np.asarray(x)[1:] for x in logits_and_mask)
    probabilities = np.asarray(masked_categorical(*logits_and_mask).probs)[1:]
    weights = np.where(mask, np.exp(logits.astype(np.float64)), 0.0)
    np.testing.assert_allclose(probabilities, weights / weights.sum(-1, keepdims=True), rtol=1e-5)
    assert (probabilities[~mask] == 0.0).all()


def test_row_without_valid_action_is_uniform(logits_and_mask):
    policy = masked_categorical(*logits_and_mask)
    np.testing.assert_allclose(policy.probs[0], 1 / 28, rtol=1e-6)
    np.testing.assert_allclose(policy.entropy()[0], np.log(28), rtol=1e-6)


def test_entropy_of_a_forced_move_is_zero(logits_and_mask):
    assert masked_categorical(*logits_and_mask).entropy()[1] == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e12])
def test_entropy_and_gradients_are_finite_however_large_the_logits(logits_and_mask, scale):
    logits, mask = logits_and_mask

    def total(logits):
        policy = masked_categorical(logits, mask)
        return jnp.sum(policy.entropy()) + jnp.sum(policy.log_prob(policy.mode()))

    value, gradient = jax.value_and_grad(total)(scale * logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~np.asarray(mask)] == 0.0).all()


def test_a_million_samples_are_all_valid(logits_and_mask):
    logits, mask = logits_and_mask
    samples = masked_categorical(logits[1:], mask[1:]).sample(seed=jax.random.key(0), sample_shape=16_000)
    assert samples.size > 1_000_000
    assert jnp.take_along_axis(mask[1:].T, samples, axis=0).all()


def test_mode_is_the_best_valid_action(logits_and_mask):
    logits, mask = (np.asarray(x)[1:] for x in logits_and_mask)
    best = np.where(mask, logits, -np.inf).argmax(-1)
    np.testing.assert_array_equal(masked_categorical(*logits_and_mask).mode()[1:], best)


def test_network_shapes_and_orthogonal_weights():
    network = ActorCritic(num_actions=28, hidden_dim=32, num_layers=3)
    params = network.init(jax.random.key(0), jnp.zeros((1, 100), jnp.float32))
    logits, value = network.apply(params, jnp.ones((5, 7, 100), jnp.float32))
    assert (logits.shape, value.shape) == ((5, 7, 28), (5, 7))
    assert (logits.dtype, value.dtype) == (jnp.float32, jnp.float32)
    kernels = [params["params"][f"Dense_{i}"]["kernel"] for i in range(5)]
    assert [kernel.shape for kernel in kernels] == [(100, 32), (32, 32), (32, 32), (32, 28), (32, 1)]
    for kernel in kernels[:3]:
        np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(32), atol=1e-5)
