"""Many games in the vector API of Gymnasium, and for Stable-Baselines3."""

import os
import pickle
import subprocess
import sys

import jax
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
    np.testing.assert_array_equal(info["action_mask"], envs.action_masks())
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


def masks_are_whole(info, count):
    """Each entry, also in dictionaries, has its mask of games: what wrappers of Gymnasium 1.1 need."""
    for name in (name for name in info if not name.startswith("_")):
        assert (info[f"_{name}"].shape, info[f"_{name}"].dtype) == ((count,), np.bool_), name
        if isinstance(info[name], dict):
            masks_are_whole(info[name], count)


def test_what_ended_is_told_with_its_last_observation(played):
    _, steps = played
    lengths, ends = np.zeros(N, int), 0
    for obs, mask, _, rest in steps[1:]:
        reward, terminated, truncated, info = rest
        lengths += 1
        ended = terminated | truncated
        np.testing.assert_array_equal(truncated, (lengths == 9) & ~terminated)
        np.testing.assert_array_equal(info["episode_length"], lengths)
        parts = [info["reward_parts"][name] for name in hm.REWARD_PARTS]
        np.testing.assert_allclose(sum(parts), reward, atol=1e-5)
        np.testing.assert_array_equal(info["action_mask"], mask)
        masks_are_whole(info, N)
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


def test_seeds_are_those_of_gymnasium():
    envs, seeds = hm.HackMatrixVectorEnv(N), list(range(3, 3 + N))
    expected, one = envs.reset(seed=seeds)[0], envs.reset(seed=7)[0]
    for same in (tuple(seeds), np.array(seeds), np.array(seeds, np.uint8), [np.int64(seed) for seed in seeds]):
        np.testing.assert_array_equal(envs.reset(seed=same)[0], expected)
    for same in (np.int64(7), np.uint8(7), np.array(7)):
        np.testing.assert_array_equal(envs.reset(seed=same)[0], one)
    some = [3, None, 5, None, None, 8, 9, 10]
    first, second = envs.reset(seed=some)[0], envs.reset(seed=some)[0]
    given = np.array([seed is not None for seed in some])
    np.testing.assert_array_equal(first[given], expected[given])
    np.testing.assert_array_equal(second[given], expected[given])
    assert np.any(first[~given] != second[~given], axis=1).all()
    assert np.any(envs.reset(seed=[None] * N)[0] != envs.reset(seed=[None] * N)[0])
    np.testing.assert_array_equal(
        HackMatrixGymnasium().reset(seed=np.int64(7))[0], HackMatrixGymnasium().reset(seed=7)[0]
    )
    large = envs.reset(seed=[2**32 * (seed + 1) for seed in range(N - 1)] + [2**70])[0]
    assert len(np.unique(large, axis=0)) == N  # JAX sees the lower 32 bits alone
    for wrong in ([1.5] * N, ["7"] * N, [-1] * N, [None] * (N - 1) + [-1], [[1, 2]] * N):
        with pytest.raises(ValueError, match=r"seed is .*, expected integers of at least 0, or None"):
            envs.reset(seed=wrong)
    for wrong in (1.5, "7", -1):
        with pytest.raises(gymnasium.error.Error, match="Seed must be"):
            envs.reset(seed=wrong)


def test_autoreset_in_the_next_step_shows_the_end_and_then_the_new_game():
    """As with autoreset in the same step until the first end of each game; one step later it begins anew."""
    same, later = (hm.HackMatrixVectorEnv(N, max_steps=9, autoreset_mode=mode) for mode in ("SameStep", "NextStep"))
    assert later.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.NEXT_STEP
    same.reset(seed=4)
    later.reset(seed=4)
    rng, waited = np.random.default_rng(0), 0
    age = np.zeros(N, int)  # steps since the first end
    begun, begun_masks = np.zeros((N, 1545), np.float32), np.zeros((N, 28), bool)
    for _ in range(11):
        actions = np.where(later.action_masks(), rng.random((N, 28)), -1).argmax(axis=1)
        obs, reward, terminated, truncated, info = same.step(actions)
        found, *rest, told = later.step(actions)
        masks_are_whole(told, N)
        assert "final_obs" not in told
        goes_on, waits = age == 0, age == 1
        for a, b in zip(rest, (reward, terminated, truncated), strict=True):
            np.testing.assert_array_equal(a[goes_on], b[goes_on])
            assert not a[waits].any()
        np.testing.assert_array_equal(told["score"][goes_on], info["score"][goes_on])
        np.testing.assert_array_equal(told["_score"][waits], False)
        np.testing.assert_array_equal(told["_score"][goes_on], True)
        np.testing.assert_array_equal(found[waits], begun[waits])
        np.testing.assert_array_equal(later.action_masks()[waits], begun_masks[waits])
        for i in np.flatnonzero(goes_on):
            ended = terminated[i] or truncated[i]
            np.testing.assert_array_equal(found[i], info["final_obs"][i] if ended else obs[i])
            np.testing.assert_array_equal(later.action_masks()[i], same.action_masks()[i])
            begun[i], begun_masks[i], age[i] = obs[i], same.action_masks()[i], ended
        waited += waits.sum()
        age[waits] = 2
    assert waited == N
    with pytest.raises(ValueError, match="autoreset_mode is 'Disabled', expected 'SameStep' or 'NextStep'"):
        hm.HackMatrixVectorEnv(N, autoreset_mode="Disabled")


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_wrappers_of_gymnasium_work(mode):
    """All that suit the mode: those of observations ask for the next step, and older ones that count assume it."""
    from gymnasium.wrappers import vector

    made = gymnasium.make_vec("HackMatrix-v0", num_envs=N, max_steps=9, autoreset_mode=mode)
    version, wrapped = tuple(map(int, gymnasium.__version__.split(".")[:2])), vector.ClipReward(made, -100, 100)
    if mode == "NextStep" or version >= (1, 4):
        wrapped = vector.NormalizeReward(vector.RecordEpisodeStatistics(wrapped))
    if mode == "NextStep":
        wrapped = vector.NormalizeObservation(vector.FlattenObservation(wrapped))
    envs = vector.DictInfoToList(wrapped)
    _, infos = envs.reset(seed=3)
    ends = 0
    for _ in range(24):
        obs, *_, infos = envs.step(np.stack([info["action_mask"] for info in infos]).argmax(axis=1))
        assert obs.shape == (N, 1545)
        for info in infos:
            if "episode" in info:
                assert info["episode"]["r"] == pytest.approx(info["episode_return"], abs=1e-4)
                assert info["episode"]["l"] == info["episode_length"]
            if "episode" in info or "final_info" in info:
                assert set(info["reward_parts"]) == set(hm.REWARD_PARTS)
                assert ("final_obs" in info) == (mode == "SameStep")
                ends += 1
    assert ends >= 2 * N


def test_it_is_pickled_with_its_games():
    for envs in (
        hm.HackMatrixVectorEnv(N, max_steps=9),
        hm.HackMatrixVectorEnv(N, max_steps=9, autoreset_mode="NextStep"),
    ):
        for again in (pickle.loads(pickle.dumps(envs)), envs):
            again.reset(seed=1)
            again.step(again.action_masks().argmax(axis=1))
        later = pickle.loads(pickle.dumps(envs))
        for _ in range(12):
            actions = envs.action_masks().argmax(axis=1)
            (*results, told), (*expected, info) = later.step(actions), envs.step(actions)
            jax.tree.map(np.testing.assert_array_equal, results, expected)
            np.testing.assert_array_equal(told["episode_return"], info["episode_return"])
            np.testing.assert_array_equal(told["_score"], info["_score"])
        np.testing.assert_array_equal(later.reset()[0], envs.reset()[0])


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
