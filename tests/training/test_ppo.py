"""The loss, one update, and probe environments that only a right PPO solves."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.agent.network import masked_categorical
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.ppo import Batch, Transition, collect, compute_gae, ppo_loss, update_step
from hackmatrix_core.training.runner import init_runner, make_agent
from hackmatrix_core.training.trainer import make_train, training_environment
from tests.training import probe_environments as probes

SMALL = {"num_envs": 16, "num_steps": 8, "hidden_dim": 16, "num_layers": 1, "num_minibatches": 2}


def small_config(updates: int = 40, **changes) -> TrainConfig:
    settings = SMALL | {"learning_rate": 1e-2, "ent_coef": 0.01} | changes
    return TrainConfig(**settings, total_timesteps=updates * settings["num_envs"] * settings["num_steps"])


def train(env, config):
    """Trained (logits, value) function of observations, and the metrics."""
    agent = make_agent(config, env)
    runner, metrics = jax.jit(make_train(config, env))(jax.random.key(config.seed))
    return lambda obs: agent.apply(runner.params, jnp.asarray(obs, jnp.float32)), metrics


def hand_made_batch() -> Batch:
    """Three steps with two actions; the policy's logits are the observation itself, the value is 2."""
    transitions = Transition(
        obs=jnp.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]], jnp.float32),
        action=jnp.array([0, 1, 0], jnp.int32),
        reward=jnp.zeros(3, jnp.float32),
        done=jnp.zeros(3, bool),
        truncated=jnp.zeros(3, bool),
        final_value=jnp.zeros(3, jnp.float32),
        log_prob=jnp.log(jnp.array([0.5, 0.9, 1.0], jnp.float32)),
        value=jnp.zeros(3, jnp.float32),
        action_mask=jnp.array([[True, True], [True, True], [True, False]]),
    )
    return Batch(transitions, jnp.array([1.0, -2.0, 4.0], jnp.float32), jnp.array([1.0, 2.0, 5.0], jnp.float32))


def hand_made_apply(params, obs):
    return obs * params["scale"], jnp.full(obs.shape[:-1], 2.0, jnp.float32) * params["value"]


def reference_loss(scale: float, value: float, config: TrainConfig, exploration: float = 1.0) -> float:
    """The same loss, by hand in float64."""
    batch = hand_made_batch()
    advantages = np.asarray(batch.advantages, np.float64)
    advantages = (advantages - advantages.mean()) / advantages.std()
    policy_loss, entropy, divergence = 0.0, 0.0, 0.0
    for i in range(3):
        weights = np.exp(scale * np.asarray(batch.transitions.obs[i], np.float64))
        weights = weights * np.asarray(batch.transitions.action_mask[i])
        p = weights / weights.sum()
        ratio = p[int(batch.transitions.action[i])] / np.exp(np.float64(batch.transitions.log_prob[i]))
        clipped = min(max(ratio, 1 - config.clip_eps), 1 + config.clip_eps)
        policy_loss -= min(ratio * advantages[i], clipped * advantages[i]) / 3
        entropy -= sum(q * np.log(q) for q in p if q > 0) / 3
        valid = p[np.asarray(batch.transitions.action_mask[i])]
        divergence += np.mean(np.log(1 / len(valid)) - np.log(valid)) / 3
    value_loss = 0.5 * np.mean((2.0 * value - np.asarray(batch.targets, np.float64)) ** 2)
    explores = exploration * (config.ent_coef * entropy - config.uniform_coef * divergence)
    return policy_loss + config.vf_coef * value_loss - explores


@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize(("uniform_coef", "exploration"), [(0.0, 1.0), (0.4, 1.0), (0.4, 0.25)])
def test_loss_and_gradient_equal_the_hand_made_case(scale, uniform_coef, exploration):
    config = TrainConfig(ent_coef=0.3, vf_coef=0.7, uniform_coef=uniform_coef)
    params = {"scale": jnp.float32(scale), "value": jnp.float32(0.9)}
    (loss, metrics), gradient = jax.value_and_grad(ppo_loss, has_aux=True)(
        params, hand_made_apply, hand_made_batch(), config, exploration=exploration
    )

    def expected(scale_step: float = 0.0, value_step: float = 0.0) -> float:
        return reference_loss(scale + scale_step, 0.9 + value_step, config, exploration)

    assert loss == pytest.approx(expected(), rel=1e-5)
    step = 1e-5
    by_scale = (expected(step) - expected(-step)) / (2 * step)
    by_value = (expected(0.0, step) - expected(0.0, -step)) / (2 * step)
    assert gradient["scale"] == pytest.approx(by_scale, rel=1e-3)
    assert gradient["value"] == pytest.approx(by_value, rel=1e-3)
    # Of the three states, the third has no choice: its entropy does not count.
    p = np.array([1 / (1 + np.exp(-scale)), 1 / (1 + np.exp(-2 * scale))])
    entropies = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert metrics["relative_entropy"] == pytest.approx(entropies.mean() / np.log(2), rel=1e-5)


def test_on_the_first_minibatch_the_ratio_is_one():
    config = small_config()
    agent = make_agent(config, probes.CuedAction())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(0))
    runner, transitions, _ = jax.jit(lambda runner: collect(agent, runner))(runner)
    logits, value = agent.apply(runner.params, transitions.obs)
    log_prob = masked_categorical(logits, transitions.action_mask).log_prob(transitions.action)
    np.testing.assert_allclose(jnp.exp(log_prob - transitions.log_prob), 1.0, rtol=0, atol=1e-6)
    np.testing.assert_allclose(value, transitions.value, rtol=0, atol=1e-6)
    advantages, targets = compute_gae(transitions, value[-1], config.gamma, config.gae_lambda)
    _, metrics = ppo_loss(runner.params, agent.apply, Batch(transitions, advantages, targets), config)
    assert metrics["clip_fraction"] == 0.0
    assert abs(metrics["approx_kl"]) < 1e-6
    assert abs(metrics["policy_loss"]) < 1e-5  # the mean of normalised advantages


@pytest.mark.parametrize("env", [probes.CuedAction(), probes.MaskedAction()])
def test_where_a_minibatch_has_the_shape_of_a_step_the_ratio_is_exactly_one(env):
    """The rows of a matrix product may depend on how many there are, in the last bit: here they are equally many."""
    agent = make_agent(small_config(num_steps=1, num_minibatches=1, update_epochs=1), env)
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(0))
    _, metrics = jax.jit(lambda runner: update_step(agent, runner))(runner)
    assert metrics["approx_kl"] == 0.0  # ratio − 1 − log(ratio)
    assert metrics["clip_fraction"] == 0.0


def test_rollout_masks_and_observations_belong_to_the_state_of_the_action():
    agent = make_agent(small_config(), probes.MaskedAction())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(1))
    _, transitions, metrics = jax.jit(lambda runner: collect(agent, runner))(runner)
    chosen_is_valid = jnp.take_along_axis(transitions.action_mask, transitions.action[..., None], axis=-1)
    assert chosen_is_valid.all()
    assert (transitions.reward >= 0.0).all()
    assert transitions.done.all()
    assert metrics["episodes"] == 16 * 8
    np.testing.assert_allclose(metrics["episode_return"], transitions.reward.mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["reward/only"], transitions.reward.mean(), rtol=1e-6)
    counts = np.bincount(np.asarray(transitions.action).ravel(), minlength=4)
    np.testing.assert_allclose(metrics["action_share"], counts / counts.sum(), rtol=1e-6)


def test_symlog_rewards_are_learned_from_and_returns_stay_as_they_are():
    def rollout(**changes):
        agent = make_agent(small_config(**changes), probes.MaskedAction())
        runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(1))
        return jax.jit(lambda runner: collect(agent, runner))(runner)[1:]

    (plain, plain_metrics), (transformed, metrics) = rollout(), rollout(symlog_rewards=1)
    assert len(np.unique(plain.reward)) > 2
    np.testing.assert_allclose(transformed.reward, np.log1p(plain.reward), rtol=1e-6)
    assert metrics["episode_return"] == plain_metrics["episode_return"]


def test_points_are_learned_from_and_returns_stay_as_they_are():
    # Random play from all stages on: it takes points, and loses most games.
    plain, with_points = (small_config(num_envs=64, num_steps=64, later_starts=1.0, points=x) for x in (0.0, 2.0))
    agent = make_agent(plain, training_environment())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(1))

    @jax.jit
    def rollout(runner, hyperparameters):
        return collect(agent.using(hyperparameters).at(jnp.float32(0)), runner)[1:]

    (plain, plain_metrics), (transformed, metrics) = (
        rollout(runner, Hyperparameters.of(config)) for config in (plain, with_points)
    )
    counted = np.asarray(transformed.reward - plain.reward, np.float64)
    earned = 2.0 * float(metrics["reward/score_gain"]) / 0.5 * counted.size
    np.testing.assert_allclose(counted, 2 * np.round(counted / 2), atol=1e-3)
    assert 0 < counted[~transformed.done].sum() <= earned + 0.1
    assert counted[transformed.done].min() < 0
    assert metrics["reward/score_gain"] == plain_metrics["reward/score_gain"]


def test_an_update_goes_over_every_environment_in_every_epoch():
    """With one minibatch and with many, the value of a constant reward is learnt from all columns alike."""
    config = small_config(num_minibatches=4, update_epochs=3)
    agent = make_agent(config, probes.CuedValue())
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(2))
    after, metrics = jax.jit(lambda runner: update_step(agent, runner))(runner)
    assert int(after.update) == 1
    adam = after.opt_state[1][0]
    assert int(adam.count) == config.update_epochs * config.num_minibatches
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert not np.array_equal(jax.random.key_data(after.key), jax.random.key_data(runner.key))


@pytest.mark.parametrize(("done", "left"), [(0.0, 1.0), (0.5, 0.55), (1.0, 0.1), (1.5, 0.1)])
def test_the_learning_rate_is_annealed(done, left):
    """Adam's first step has the length of the learning rate, whatever the gradient."""
    config = small_config(10, anneal_to=0.1, max_grad_norm=1e9)
    agent = make_agent(config, probes.CuedAction())
    gradients = {"x": jnp.full((3,), 5.0, jnp.float32)}
    state = agent.optimizer.init(gradients)
    with jax.numpy_dtype_promotion("standard"):
        step, _ = agent.at(jnp.float32(done)).optimizer.update(gradients, state, gradients)
    np.testing.assert_allclose(step["x"], -left * config.learning_rate, rtol=1e-4)


def test_what_is_annealed_follows_the_updates_unless_the_share_is_given():
    env = probes.WeightedAction()
    agent = make_agent(small_config(10, anneal_to=0.1, gamma=0.5, gamma_to=0.9, shaping_fades=0.5), env)
    runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(4))
    by_updates = jax.jit(lambda runner: update_step(agent, runner))
    by_share = jax.jit(lambda runner, done: update_step(agent, runner, done))
    third = runner._replace(update=jnp.int32(3))
    same, other = (by_share(third, jnp.float32(done))[0].params for done in (0.3, 0.7))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), by_updates(third)[0].params, same)
    assert any(jax.tree.leaves(jax.tree.map(lambda x, y: not np.allclose(x, y, atol=1e-4), same, other)))


def test_exploration_is_annealed():
    def learnt(update, **changes):
        agent = make_agent(small_config(10, anneal_to=0.0, **changes), probes.CuedAction())
        runner = jax.jit(lambda key: init_runner(agent, key))(jax.random.key(4))._replace(update=jnp.int32(update))
        return jax.jit(lambda runner: update_step(agent, runner))(runner)[0].params

    exploring = {"ent_coef": 0.5, "uniform_coef": 0.5}
    at_the_end, without = learnt(10, **exploring), learnt(10, ent_coef=0.0)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), at_the_end, without)
    differs = jax.tree.map(lambda x, y: not np.allclose(x, y, atol=1e-3), learnt(0, **exploring), without)
    assert any(jax.tree.leaves(differs))


def learning(env):
    """What the parameters are after an update by a config, as one vector; one program for all of them."""
    agent = make_agent(small_config(updates=8), env)
    start = init_runner(agent, jax.random.key(0))

    @jax.jit
    def update(runner, hyperparameters):
        return jax.flatten_util.ravel_pytree(update_step(agent.using(hyperparameters), runner)[0].params)[0]

    return lambda config, number: update(start._replace(update=jnp.int32(number)), Hyperparameters.of(config))


def test_shaping_fades_over_its_share_of_the_run():
    """The first of 8 updates learns from all of it, the third from half, and from the fifth on there is none."""
    learned, fading = learning(probes.WeightedAction()), small_config(updates=8, shaping_fades=0.5)
    for update, shaping in ((0, 1.0), (2, 0.5), (4, 0.0)):
        same = learned(small_config(updates=8, shaping=shaping), update)
        np.testing.assert_allclose(learned(fading, update), same, rtol=0, atol=1e-7)
        # What the value counts by then.
        assert Hyperparameters.of(fading).objective(False, update / 8).shaping == shaping
    np.testing.assert_array_equal(learned(fading, 7), learned(fading, 4))
    assert np.abs(learned(fading, 0) - learned(fading, 4)).max() > 1e-3
    assert Hyperparameters.of(fading).objective(False).shaping == 0


def test_gamma_goes_to_its_last_value_over_the_run():
    """From 0.5 to 0.875: half-way the distance to 1 has shrunk to the geometric mean of both, a quarter."""
    learned, rising = learning(probes.TwoStepCredit()), small_config(updates=8, gamma=0.5, gamma_to=0.875)
    for update, gamma in ((0, 0.5), (4, 0.75), (8, 0.875)):
        constant = small_config(updates=8, gamma=gamma)
        np.testing.assert_allclose(learned(rising, update), learned(constant, update), rtol=0, atol=1e-6)
        # What the value counts by then.
        assert Hyperparameters.of(rising).objective(False, update / 8).gamma == pytest.approx(gamma)
    assert np.abs(learned(small_config(updates=8, gamma=0.875), 4) - learned(rising, 4)).max() > 1e-3
    assert Hyperparameters.of(rising).objective(False).gamma == pytest.approx(0.875)


def test_constant_reward_gives_its_value():
    apply, metrics = train(probes.ConstantReward(), small_config())
    assert apply([[1.0]])[1][0] == pytest.approx(1.0, abs=0.05)
    assert metrics["episode_return"][-1] == pytest.approx(1.0)


def test_value_follows_the_observation():
    apply, metrics = train(probes.CuedValue(), small_config(60))
    np.testing.assert_allclose(apply([[1.0, 0.0], [0.0, 1.0]])[1], [1.0, -1.0], atol=0.1)
    assert metrics["explained_variance"][-1] > 0.9


def test_credit_goes_back_two_steps():
    config = small_config(80, gamma=0.5, gae_lambda=0.9)
    apply, metrics = train(probes.TwoStepCredit(), config)
    logits, value = apply([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    assert jax.nn.softmax(logits[0])[1] > 0.9
    np.testing.assert_allclose(value, [0.5, 1.0], atol=0.12)
    assert metrics["episode_return"][-1] > 0.9


def test_action_follows_the_observation():
    apply, metrics = train(probes.CuedAction(), small_config(60))
    probabilities = jax.nn.softmax(apply([[0.0, 1.0], [1.0, 0.0]])[0])
    assert (jnp.diagonal(probabilities) > 0.9).all()
    assert metrics["episode_return"][-1] > 0.9


def test_the_best_valid_action_is_learnt():
    apply, metrics = train(probes.MaskedAction(), small_config(80))
    logits = apply([[1.0]])[0][0]
    assert int(jnp.argmax(logits)) == 3
    assert int(jnp.argmax(logits[:3])) == 2
    assert metrics["episode_return"][-1] > 2.5  # 2.75 at best: action 3 in three of four episodes, else action 2
    assert metrics["relative_entropy"][-1] < 0.6 * metrics["relative_entropy"][0]


@pytest.mark.parametrize(("env", "low", "high"), [(probes.Truncating(), 1.85, 2.15), (probes.Terminating(), 1.2, 1.75)])
def test_only_truncation_goes_on(env, low, high):
    """gamma 0.5: for ever is worth 2; four steps that look alike (1, 1.5, 1.75, 1.875 to go) are worth 1.53."""
    apply, _ = train(env, small_config(60, gamma=0.5))
    assert low < float(apply([[1.0]])[1][0]) < high


def test_training_over_several_seeds_at_once_equals_each_alone():
    config = small_config(3)
    run = make_train(config, probes.CuedAction())
    keys = jax.random.split(jax.random.key(5), 2)
    together = jax.jit(jax.vmap(run))(keys)[1]
    run_alone = jax.jit(run)
    for i in range(2):
        alone = run_alone(keys[i])[1]
        np.testing.assert_allclose(together["value_loss"][i], alone["value_loss"], rtol=1e-3)
        np.testing.assert_allclose(together["episode_return"][i], alone["episode_return"], rtol=1e-3)
