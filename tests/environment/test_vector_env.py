"""Many games in the vector API of Gymnasium, and for Stable-Baselines3."""

import os
import subprocess
import sys

import numpy as np
import pytest

import hackmatrix_core as hm

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")
from hackmatrix_core.environment.gymnasium_env import HackMatrixGymnasium

N = 8  # in all tests: one compiled program


@pytest.fixture(scope="module")
def played():
    """The environments, and what some steps of random valid play gave."""
    envs, rng = hm.HackMatrixVectorEnv(N, max_steps=9), np.random.default_rng(0)
    obs, info = envs.reset(seed=4)
    assert info == {}
    steps = [(obs, envs.action_masks(), None, None)]
    for _ in range(30):
        actions = np.where(envs.action_masks(), rng.random((N, 28)), -1).argmax(axis=1)
        obs, *rest = envs.step(actions)
        steps.append((obs, envs.action_masks(), actions, rest))
    return envs, steps


def test_spaces_and_autoreset_are_as_declared(played):
    envs, steps = played
    assert envs.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    assert envs.observation_space.shape == (N, 1545)
    assert envs.action_space.shape == (N,)
    for obs, mask, _, rest in steps:
        assert envs.observation_space.contains(obs)
        assert (mask.shape, mask.dtype) == ((N, 28), np.bool_)
        if rest:
            reward, terminated, truncated, _ = rest
            assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, np.bool_, np.bool_)
            assert not np.any(terminated & truncated)


def test_what_ended_is_told_with_its_last_observation(played):
    _, steps = played
    lengths, ends = np.zeros(N, int), 0
    for obs, _, _, rest in steps[1:]:
        reward, terminated, truncated, info = rest
        lengths += 1
        ended = terminated | truncated
        np.testing.assert_array_equal(truncated, (lengths == 9) & ~terminated)
        np.testing.assert_array_equal(info["episode_length"], lengths)
        np.testing.assert_allclose(sum(info["reward_parts"].values()), reward, atol=1e-5)
        if ended.any():
            np.testing.assert_array_equal(info["_final_obs"], ended)
            for i, last in enumerate(info["final_obs"]):
                assert (last is not None) == ended[i]
                assert last is None or np.any(last != obs[i])
        ends += ended.sum()
        lengths[ended] = 0
    assert ends > N


def test_a_seed_decides_all(played):
    envs, steps = played
    again = hm.HackMatrixVectorEnv(N, max_steps=9)
    obs, _ = again.reset(seed=4)
    np.testing.assert_array_equal(obs, steps[0][0])
    for expected, mask, actions, rest in steps[1:]:
        obs, reward, *_ = again.step(actions)
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal(again.action_masks(), mask)
        np.testing.assert_array_equal(reward, rest[0])
    other, _ = envs.reset(seed=[1, 2, 3, 4, 5, 6, 7, 7])
    np.testing.assert_array_equal(other[6], other[7])
    following, _ = envs.reset()
    envs.reset(seed=[1, 2, 3, 4, 5, 6, 7, 7])
    np.testing.assert_array_equal(envs.reset()[0], following)
    assert np.any(other[0] != other[1])


def test_masks_are_copies(played):
    envs, _ = played
    envs.reset(seed=0)
    envs.action_masks()[:] = False
    assert envs.action_masks().any()
    env = HackMatrixGymnasium()
    env.reset(seed=0)
    env.action_masks()[:] = False
    assert env.action_masks().any()


def test_mistakes_are_named(played):
    envs, _ = played
    envs.reset(seed=0)
    for actions, kind, sentence in [
        (np.zeros(N), TypeError, "actions have dtype float64, expected integers"),
        (np.zeros(3, int), ValueError, r"actions have shape \(3,\), expected \(8,\), one a game"),
    ]:
        with pytest.raises(kind, match=sentence):
            envs.step(actions)
    assert envs._time == 0  # what was refused changes nothing of what comes
    *_, terminated, _, _ = envs.step(np.full(N, 2**32 + 1))
    assert terminated.all()
    with pytest.raises(ValueError, match="seed has 1 entries, expected one for each of 8 games"):
        envs.reset(seed=[0])
    with pytest.raises(ValueError, match="options has 'scenario', expected none"):
        envs.reset(options={"scenario": {}})
    for num_envs in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=r"num_envs is .*, expected an integer of at least 1"):
            hm.HackMatrixVectorEnv(num_envs)
    for max_steps in (2.7, 2**31, 0):
        with pytest.raises(ValueError, match=r"max_steps is .*, expected an integer from 1 to"):
            hm.HackMatrixVectorEnv(N, max_steps=max_steps)
    with pytest.raises(ValueError, match="reward_weights has shape"):
        hm.HackMatrixVectorEnv(N, reward_weights=np.ones(3))
    with pytest.raises(gymnasium.error.ResetNeeded):
        hm.HackMatrixVectorEnv(N).step(np.zeros(N, int))


def test_gymnasium_knows_both_by_name():
    assert isinstance(gymnasium.make("HackMatrix-v0").unwrapped, HackMatrixGymnasium)
    envs = gymnasium.make_vec("HackMatrix-v0", num_envs=N)
    assert isinstance(envs.unwrapped, hm.HackMatrixVectorEnv)
    assert envs.num_envs == N


@pytest.mark.parametrize("imports", ["import hackmatrix_core, gymnasium", "import gymnasium, hackmatrix_core"])
def test_names_are_known_whichever_is_imported_first(imports):
    code = f"""
import sys
{imports}
assert "HackMatrix-v0" in gymnasium.registry
assert "jax" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_what_is_made_by_name_in_a_new_process_is_drawn():
    code = """
import gymnasium, sys, hackmatrix_core
assert "jax" not in sys.modules
env = gymnasium.make("HackMatrix-v0", render_mode="rgb_array")
env.reset(seed=0)
assert env.render().ndim == 3
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_boards_are_drawn():
    envs = hm.HackMatrixVectorEnv(N, render_mode="ansi")
    envs.reset(seed=0)
    texts = envs.render()
    assert len(texts) == N
    assert all("\n" in text for text in texts)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_jax_warns_where_a_process_is_forked():
    """A process that JAX has started in cannot be forked: it would hang. JAX itself says so; nothing here does."""
    code = """
import os, hackmatrix_core as hm
hm.HackMatrixVectorEnv(8).reset(seed=0)
if os.fork() == 0:
    os._exit(0)
os.wait()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "os.fork() is incompatible with multithreaded code" in run.stderr


def test_stable_baselines3_trains_with_masks():
    sb3 = pytest.importorskip("sb3_contrib", reason="sb3-contrib is not installed: pip install sb3-contrib")
    from hackmatrix_core.environment.sb3_env import HackMatrixVecEnv

    env = HackMatrixVecEnv(N, max_steps=9)
    env.seed(3)
    obs = env.reset()
    assert (obs.shape, obs.dtype) == ((N, 1545), np.float32)
    np.testing.assert_array_equal(np.stack(env.env_method("action_masks")), env.envs.action_masks())
    for _ in range(9):
        _, _, done, infos = env.step(env.envs.action_masks().argmax(axis=1))
        for info, ended in zip(infos, done, strict=True):
            assert ("terminal_observation" in info) == ended
    model = sb3.MaskablePPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1)
    model.learn(2 * 16 * N)
    assert model.num_timesteps == 2 * 16 * N
    assert len(model.ep_info_buffer) > 0
