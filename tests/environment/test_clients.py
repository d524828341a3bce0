"""Real clients of the environments, unmodified: gymnax's wrappers on six values, rejax's PPO on five.

They do not keep to strict promotion, so here that of plain JAX holds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm

WHY = "gymnax 1.0 and rejax are not installed: they ask for jax below 0.12, and come along with Python 3.11 alone"
pytest.importorskip("gymnax", reason=WHY)
rejax = pytest.importorskip("rejax", reason=WHY)
from gymnax.environments import spaces
from gymnax.wrappers import FlattenObservationWrapper, LogWrapper

PARAMS = hm.EnvParams(max_steps=12)
NUM_ENVS = 16
NUM_STEPS = 40


@pytest.fixture(autouse=True)
def promotion_of_plain_jax():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_gymnax_wrappers_flatten_and_log():
    env = LogWrapper(FlattenObservationWrapper(hm.HackMatrixGymnaxV1()))
    space = env.observation_space(PARAMS)
    assert isinstance(space, spaces.Box)
    assert space.shape == (1545,)
    assert isinstance(env.action_space(PARAMS), spaces.Discrete)
    assert (env.name, env.num_actions) == ("HackMatrix", 28)
    assert env.default_params.replace(max_steps=12).max_steps_in_episode == 12

    @jax.jit
    def play(key):
        def step(state, key):
            mask = jax.vmap(env.get_action_mask)(state.env_state)
            action = jax.random.categorical(key, jnp.where(mask, 0.0, -1e9))
            keys = jax.random.split(key, NUM_ENVS)
            _, state, reward, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
                keys, state, action, PARAMS
            )
            return state, (reward, terminated, truncated, info)

        keys = jax.random.split(key, NUM_STEPS)
        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, NUM_ENVS), PARAMS)
        return jax.lax.scan(step, state, keys)[1]

    reward, terminated, truncated, info = jax.device_get(play(jax.random.PRNGKey(0)))
    assert info["final_observation"].shape == (NUM_STEPS, NUM_ENVS, 1545)
    assert truncated.any()
    assert terminated.any()
    assert not np.any(terminated & truncated)
    total, length = np.zeros(NUM_ENVS), np.zeros(NUM_ENVS, int)
    for time in range(NUM_STEPS):
        total, length = total + reward[time], length + 1
        done = terminated[time] | truncated[time]
        np.testing.assert_array_equal(truncated[time], (length == PARAMS.max_steps) & ~terminated[time])
        np.testing.assert_array_equal(info["returned_episode"][time], done)
        np.testing.assert_allclose(info["returned_episode_returns"][time][done], total[done], atol=1e-4)
        np.testing.assert_array_equal(info["returned_episode_lengths"][time][done], length[done])
        total, length = np.where(done, 0, total), np.where(done, 0, length)


def test_rejax_ppo_trains():
    algorithm = rejax.PPO.create(
        env=hm.HackMatrixGymnax(),
        env_params=PARAMS,
        num_envs=64,
        num_steps=16,
        num_epochs=1,
        num_minibatches=4,
        total_timesteps=3072,
        eval_freq=1024,
        skip_initial_evaluation=True,
    )
    assert algorithm.discrete
    assert algorithm.action_dim == 28
    assert algorithm.env_params.max_steps_in_episode == PARAMS.max_steps  # what its own evaluation reads
    # In place of that evaluation, which would compile the game a second time: how far it has come.
    algorithm = algorithm.replace(eval_callback=lambda algorithm, state, key: state.global_step)
    before = jax.jit(algorithm.init_state)(jax.random.key(0))
    after, steps = jax.jit(lambda state: algorithm.train(train_state=state))(before)
    np.testing.assert_array_equal(steps, [1024, 2048, 3072])
    changes = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), before.actor_ts.params, after.actor_ts.params)
    assert all(0 < change < 1 for change in jax.tree.leaves(changes))
