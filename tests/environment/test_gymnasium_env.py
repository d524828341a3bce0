"""The environment in the API of Gymnasium."""

import json
import pickle

import jax
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.rewards import REWARD_PARTS

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")
from gymnasium.utils.env_checker import check_env

from hackmatrix_core.environment import gymnasium_env
from hackmatrix_core.environment.gymnasium_env import HackMatrixGymnasium


def play(env, seed, steps=60):
    """Observations, masks and rewards of random valid play."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    np.testing.assert_array_equal(info["action_mask"], env.action_masks())
    seen = [(observation, env.action_masks(), 0.0)]
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(rng.choice(np.flatnonzero(env.action_masks())))
        np.testing.assert_array_equal(info["action_mask"], env.action_masks())
        seen.append((observation, env.action_masks(), reward))
        if terminated or truncated:
            env.reset()
    return seen


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
def test_passes_check_env(render_mode):
    env = gymnasium.make("hackmatrix_core.environment.gymnasium_env:HackMatrix-v0", render_mode=render_mode)
    check_env(env.unwrapped)


def test_seeds_decide_the_play_and_instances_share_the_compiled_functions():
    first = play(HackMatrixGymnasium(), 5)
    compiled = [f._cache_size() for f in (gymnasium_env._reset, gymnasium_env._step, gymnasium_env._look)]
    second, third = play(HackMatrixGymnasium(max_steps=500), 5), play(HackMatrixGymnasium(), 6)
    assert compiled == [f._cache_size() for f in (gymnasium_env._reset, gymnasium_env._step, gymnasium_env._look)]
    for (a, mask_a, reward_a), (b, mask_b, reward_b) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(mask_a, mask_b)
        assert reward_a == reward_b
    assert any(np.any(a != b) for (a, *_), (b, *_) in zip(first, third, strict=True))


def test_it_is_pickled_with_its_game():
    for env in (HackMatrixGymnasium(max_steps=9), gymnasium.make("HackMatrix-v0", max_steps=9)):
        pickle.loads(pickle.dumps(env)).reset(seed=0)
        env.reset(seed=2)
        env.step(int(env.unwrapped.action_masks().argmax()))
        again, is_over = pickle.loads(pickle.dumps(env)), False
        while not is_over:
            action = int(env.unwrapped.action_masks().argmax())
            expected = env.step(action)
            jax.tree.map(np.testing.assert_array_equal, again.step(action), expected)
            is_over = expected[2] or expected[3]
        np.testing.assert_array_equal(again.reset()[0], env.reset()[0])


def test_scenario_reset_mask_and_truncation():
    env = HackMatrixGymnasium(max_steps=2, reward_weights=np.full(15, 2.0))
    env.reset(seed=1)
    scenario = hm.scenario.to_dict(hm.reset(jax.random.key(8)))
    scenario["programs"] = ["wait", "siph+", "exch"]
    scenario["player"] |= {"credits": 4, "energy": 9, "data_siphons": 0}
    observation, _ = env.reset(options={"scenario": json.loads(json.dumps(scenario))})
    state = hm.scenario.from_dict(scenario)
    np.testing.assert_array_equal(observation, hm.observe(state))
    mask = env.action_masks()
    assert (mask.shape, mask.dtype) == ((28,), np.bool_)
    np.testing.assert_array_equal(mask, hm.get_valid_actions(state))
    assert not mask[4]  # no data siphon
    assert (mask[10], mask[16], mask[17]) == (True, False, True)  # wait; siph+ costs 5; exch

    _, reward, terminated, truncated, info = env.step(17)
    assert (terminated, truncated) == (False, False)
    assert set(info["reward_parts"]) == set(REWARD_PARTS)
    assert reward == pytest.approx(2 * sum(info["reward_parts"].values()))
    *_, terminated, truncated, info = env.step(10)
    assert (terminated, truncated, info["episode_length"]) == (False, True, 2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_a_scenario_is_cut_to_the_undo_depth():
    scenario = hm.scenario.to_dict(hm.reset(jax.random.key(8)))
    names = ("turn", "player", "programs", "enemies", "transmissions", "cells", "show", "calm", "atk_plus_uses")
    taken = {name: scenario[name] for name in names} | {"transmissions": []}
    scenario["history"] = [taken | {"turn": turn} for turn in range(5)]
    env = HackMatrixGymnasium(undo_depth=2)
    env.reset(seed=0, options={"scenario": scenario})
    game = env._state.game
    assert (game.undo_depth, int(game.history_length)) == (2, 2)
    assert [one["turn"] for one in hm.scenario.to_dict(game)["history"]] == [3, 4]
    with pytest.raises(ValueError, match="undo_depth is 0, expected how many snapshots to keep for UNDO"):
        HackMatrixGymnasium(undo_depth=0)


@pytest.mark.parametrize("action", [-1, 28, 2**40, np.int64(99)])
def test_action_outside_the_range_ends_the_episode(action):
    env = HackMatrixGymnasium()
    env.reset(seed=0)
    _, reward, terminated, truncated, _ = env.step(action)
    assert (reward, terminated, truncated) == (0.0, True, False)


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="render_mode is 'human', expected None or one of ansi, rgb_array"):
        HackMatrixGymnasium(render_mode="human")
    env = HackMatrixGymnasium()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    with pytest.raises(ValueError, match="options has 'scenarios', expected only 'scenario'"):
        env.reset(options={"scenarios": {}})
    with pytest.raises(ValueError, match="the scenario has no key 'turn'"):
        env.reset(options={"scenario": {"stage": 1}})
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"action is 1\.5, expected an integer from 0 to 27"):
        env.step(1.5)
