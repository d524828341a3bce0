"""The critic that learns a distribution: it keeps the mean of what it learns, however far the returns lie apart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hackmatrix_core.agent import critic
from hackmatrix_core.agent.network import ActorCritic

pytestmark = pytest.mark.quick

BINS = 61


@pytest.mark.parametrize("target", [-147.0, -31.3, -0.2, 0.0, 0.05, 0.31, 8.0, 691.5, 5000.0, 22000.0])
def test_the_best_estimate_of_a_return_has_it_as_its_mean(target):
    def loss(logits):
        return critic.loss(logits, jnp.float32(target))

    # At the minimum the probabilities are the shares of the target, and the gradient is the difference of the two.
    shares = jax.nn.softmax(jnp.zeros(BINS, jnp.float32)) - jax.grad(loss)(jnp.zeros(BINS, jnp.float32))
    assert jnp.sum(shares > 1e-6) <= 2
    assert float(shares @ critic.bins(BINS)) == pytest.approx(target, rel=1e-3, abs=1e-3)


def test_it_learns_the_mean_of_returns_that_lie_far_apart():
    returns = jnp.array([-10.0, 0.5, 0.5, 4200.0], jnp.float32)
    optimizer = optax.adam(0.1)

    def learn(carry, _):
        logits, state = carry
        gradient = jax.grad(lambda logits: jnp.mean(critic.loss(jnp.broadcast_to(logits, (4, BINS)), returns)))(logits)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state)
        return (logits + updates, state), None

    start = jnp.asarray(critic.first_logits(BINS))
    (logits, _), _ = jax.lax.scan(learn, (start, optimizer.init(start)), length=2000)
    assert float(critic.mean(logits)) == pytest.approx(float(jnp.mean(returns)), rel=0.01)


def test_a_return_beyond_the_last_bin_counts_as_the_last():
    last = float(critic.bins(BINS)[-1])
    logits = jnp.linspace(0.0, 1.0, BINS, dtype=jnp.float32)
    assert critic.loss(logits, jnp.float32(10 * last)) == critic.loss(logits, jnp.float32(last))


def test_a_plain_value_is_compared_by_its_square():
    loss = critic.loss(jnp.array([1.0, 2.0], jnp.float32), jnp.array([4.0, 2.0], jnp.float32))
    np.testing.assert_allclose(loss, [4.5, 0.0])


def test_a_network_with_bins_starts_near_zero():
    network = ActorCritic(3, hidden_dim=8, value_bins=BINS)
    observations = jax.random.normal(jax.random.key(0), (5, 7))
    params = network.init(jax.random.key(1), observations)
    logits, value = network.apply(params, observations)
    assert logits.shape == (5, 3)
    assert value.shape == (5,)
    assert float(jnp.max(jnp.abs(value))) < 0.1
    estimates = network.apply(params, observations, method="estimates")[1]
    np.testing.assert_allclose(critic.mean(estimates), value)
