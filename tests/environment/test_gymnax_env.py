"""The environment's API: five values per step, auto-reset into a new game, time limit, keys of both kinds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.environment import spaces
from hackmatrix_core.environment.gymnax_v1 import HackMatrixGymnaxV1
from hackmatrix_core.game.rewards import REWARD_PARTS
from tests import programs
from tests.game import bulk, conformance
from tests.programs import env_reset, env_step

NUM_ENVS = programs.FEW
ENV = programs.ENV
COMPACT = hm.HackMatrixGymnax(compact_observations=True)
PARAMS = ENV.default_params
UP = 0


def keys(seed: int, count: int = NUM_ENVS) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


@jax.jit
def step_env(keys, state, action, params):
    return jax.vmap(ENV.step_env, (0, 0, 0, None))(keys, state, action, params)


@pytest.fixture(scope="module")
def played():
    """A few hundred steps of random play: states before, actions, and what the steps gave."""
    obs, state = env_reset(keys(0), PARAMS)
    steps = []
    for time in range(120):
        action = programs.random_actions(jax.random.key(1000 + time), programs.get_valid_actions(state.game))
        result = env_step(keys(time + 1), state, action, PARAMS)
        steps.append((obs, state, action, keys(time + 1), result))
        obs, state = result[:2]
    return steps


def test_shapes_and_dtypes(played):
    obs, state, reward, done, info = played[0][-1]
    assert obs.shape == (NUM_ENVS, *ENV.obs_shape)
    assert obs.dtype == jnp.float32
    assert reward.dtype == jnp.float32
    assert done.dtype == jnp.bool_
    assert set(info["reward_parts"]) == set(REWARD_PARTS)
    for name in ("terminated", "truncated", "won", "returned_episode"):
        assert info[name].dtype == jnp.bool_, name
    for name in ("stage", "score", "hp", "episode_length"):
        assert info[name].dtype == jnp.int32, name
    assert jax.vmap(ENV.get_action_mask)(state).shape == (NUM_ENVS, ENV.num_actions)


def test_observation_is_that_of_the_state_returned(played):
    for _, _, _, _, (obs, state, *_) in played[::20]:
        np.testing.assert_array_equal(obs, programs.observe(state.game))


def test_compact_observation_decodes_to_the_float_one(played):
    _, state, action, step_keys, (obs, *_) = played[50]
    for i in range(NUM_ENVS):
        compact = COMPACT.step(*programs.take((step_keys, state, action), i), PARAMS)[0]
        assert compact.dtype == jnp.uint8
        np.testing.assert_array_equal(COMPACT.decode_observation(compact), obs[i])


def test_an_end_starts_a_new_game_and_keeps_the_last_observation(played):
    ends = 0
    for _, before, action, step_keys, (_, after, _, done, info) in played:
        after, done, info = jax.device_get((after, done, info))
        final_obs, final, _, final_done, _ = jax.device_get(step_env(step_keys, before, action, PARAMS))
        np.testing.assert_array_equal(done, final_done)
        np.testing.assert_array_equal(info["final_observation"], final_obs)
        ended = np.flatnonzero(done)
        ends += len(ended)
        going_on = np.flatnonzero(~done)
        for leaf, final_leaf in zip(jax.tree.leaves(after), jax.tree.leaves(final), strict=True):
            np.testing.assert_array_equal(leaf[going_on], final_leaf[going_on])
        game = after.game
        assert np.all(game.stage[ended] == 1)
        assert np.all(game.turn[ended] == 0)
        assert np.all(game.hp[ended] == 3)
        assert np.all(game.history_length[ended] == 0)
        assert np.all(np.asarray(game.history)[ended] == 0)
        assert np.all(np.isin(game.position[ended], [0, 5, 30, 35]))
        assert np.all(after.episode_length[ended] == 0)
    assert ends > 50


def test_an_undo_depth_is_kept():
    """Besides their histories the games are those of the default depth; these hold the newest snapshots (R8.3)."""
    depth = 3
    shallow = hm.HackMatrixGymnax(undo_depth=depth)
    step_shallow = jax.jit(jax.vmap(shallow.step, (0, 0, 0, None)))
    _, state = env_reset(keys(7), PARAMS)
    _, shallow_state = jax.jit(jax.vmap(shallow.reset, (0, None)))(keys(7), PARAMS)
    seen = ends = 0
    for time in range(40):
        mask = np.array(programs.get_valid_actions(state.game))
        mask[:, conformance.UNDO] = False
        action = np.argmax(mask * np.random.default_rng(time).random(mask.shape), axis=1)
        _, state, _, done, _ = env_step(keys(time), state, action, PARAMS)
        _, shallow_state, *_ = step_shallow(keys(time), shallow_state, action, PARAMS)
        game, kept = jax.tree.map(np.asarray, (state.game, shallow_state.game))
        assert kept.history.shape == (NUM_ENVS, depth, 84)
        np.testing.assert_array_equal(kept.history_length, np.minimum(game.history_length, depth))
        for i in range(NUM_ENVS):
            np.testing.assert_array_equal(bulk.snapshots(kept, i), bulk.snapshots(game, i)[-depth:])
        for name in ("cells", "entities", "position", "stage", "hp"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(game, name))
        seen, ends = max(seen, game.history_length.max()), ends + done.sum()
    assert seen > 2 * depth
    assert ends > 10


def test_equal_settings_are_one_environment_to_jit():
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def depth_of(env):
        traced.append(env)
        return jnp.int32(env.undo_depth)

    others = [
        hm.HackMatrixGymnax(compact_observations=True),
        hm.HackMatrixGymnax(undo_depth=3),
        hm.HackMatrixGymnaxV1(),
    ]
    for env in [hm.HackMatrixGymnax(), hm.HackMatrixGymnax(undo_depth=np.int64(ENV.undo_depth)), *others, *others]:
        assert depth_of(env) == env.undo_depth
    assert len(traced) == 1 + len(others)
    assert len({ENV, hm.HackMatrixGymnax(), *others}) == 1 + len(others)

    class Mine(hm.HackMatrixGymnax):
        bonus = 0

    mine, more = Mine(), Mine()
    assert mine == more
    more.bonus = 1
    assert mine != more
    assert mine != ENV


def test_the_time_limit_has_the_name_of_gymnax_too():
    assert PARAMS.replace(max_steps_in_episode=100).max_steps == 100
    assert PARAMS.replace(max_steps_in_episode=100, later_starts=0.5).max_steps_in_episode == 100
    with pytest.raises(ValueError, match="max_steps is 0, expected an integer from 1"):
        PARAMS.replace(max_steps_in_episode=0)


@pytest.mark.parametrize("undo_depth", [0, 2.5])
def test_an_undo_depth_that_is_none_is_refused(undo_depth):
    with pytest.raises(ValueError, match=f"undo_depth is {undo_depth}, expected how many snapshots to keep for UNDO"):
        hm.HackMatrixGymnax(undo_depth=undo_depth)


def test_new_games_differ(played):
    boards = [
        np.asarray(after.game.cells)[index].tobytes()
        for _, _, _, _, (_, after, _, done, _) in played
        for index in np.flatnonzero(done)
    ]
    assert len(set(boards)) == len(boards)


def test_episode_account(played):
    total, length = np.zeros(NUM_ENVS), np.zeros(NUM_ENVS, int)
    for _, _, _, _, (_, _, reward, done, info) in played:
        total, length = total + np.asarray(reward), length + 1
        np.testing.assert_allclose(info["episode_return"], total, atol=1e-3)
        np.testing.assert_array_equal(info["episode_length"], length)
        np.testing.assert_array_equal(info["returned_episode"], done)
        total, length = np.where(done, 0, total), np.where(done, 0, length)


def test_time_limit_truncates_and_does_not_terminate():
    params = dataclasses.replace(PARAMS, max_steps=5)
    _, state = env_reset(keys(3), params)
    for time in range(5):
        action = programs.random_actions(jax.random.key(time), programs.get_valid_actions(state.game))
        _, state, _, done, info = env_step(keys(time + 50), state, action, params)
        running = ~np.asarray(info["terminated"])
        expected = running & (np.asarray(info["episode_length"]) == 5)
        np.testing.assert_array_equal(info["truncated"], expected)
        np.testing.assert_array_equal(done, info["terminated"] | info["truncated"])
    assert np.any(info["truncated"])
    assert np.all(state.episode_length[np.asarray(info["truncated"])] == 0)


def test_a_game_cut_on_its_way_into_a_stage_shows_that_stage_last():
    _, state = env_reset(keys(4), PARAMS)
    scenario = hm.scenario.to_dict(jax.tree.map(lambda x: x[0], state.game))
    (row, col), (d_row, d_col, action) = scenario["exit"], (1, 0, 1)
    if scenario["exit"][0] == 5:
        d_row, action = -1, 0
    scenario["player"] |= {"row": row + d_row, "col": col + d_col}
    scenario["enemies"] = scenario["transmissions"] = []
    scenario["cells"][row + d_row][col + d_col] = {}
    cut = hm.EnvState(hm.scenario.from_dict(scenario), jnp.float32(0), jnp.int32(0))
    params = dataclasses.replace(PARAMS, max_steps=1)
    obs, after, _, done, info = ENV.step(jax.random.key(0), cut, jnp.int32(action), params)
    assert bool(done)
    assert bool(info["truncated"])
    assert int(info["stage"]) == 2
    assert int(after.game.stage) == 1
    final_obs = ENV.step_env(jax.random.key(0), cut, jnp.int32(action), params)[0]
    np.testing.assert_array_equal(info["final_observation"], final_obs)
    assert info["final_observation"][5] == pytest.approx(1 / 7)
    assert obs[5] == 0


def test_reward_weights_weigh_the_parts(played):
    _, state, action, step_keys, _ = played[60]
    weights = np.arange(15, dtype=np.float32)
    params = dataclasses.replace(PARAMS, reward_weights=weights)
    _, _, reward, _, info = env_step(step_keys, state, action, params)
    expected = sum(weight * info["reward_parts"][name] for weight, name in zip(weights, REWARD_PARTS, strict=True))
    np.testing.assert_allclose(reward, expected, atol=1e-4)


def test_wrong_number_of_reward_weights_is_refused():
    expected = r"reward_weights has shape \(14,\), expected \(15,\)"
    with pytest.raises(ValueError, match=expected):
        dataclasses.replace(PARAMS, reward_weights=np.ones(14, np.float32))
    params = dataclasses.replace(PARAMS, reward_weights=jnp.ones(14))
    _, state = ENV.reset(jax.random.key(0))
    with pytest.raises(ValueError, match=expected):
        ENV.step(jax.random.key(0), state, UP, params)


@pytest.mark.parametrize("action", [-1, 28, 1000])
def test_action_outside_the_range_is_invalid(action):
    _, state = ENV.reset(jax.random.key(0))
    _, _, reward, done, info = ENV.step_env(jax.random.key(0), state, action)
    assert bool(done)
    assert bool(info["terminated"])
    assert float(reward) == 0


def test_action_that_is_not_an_integer_is_refused():
    _, state = ENV.reset(jax.random.key(0))
    with pytest.raises(TypeError, match=r"action is an array of dtype float32.*, expected an integer from 0 to 27"):
        ENV.step(jax.random.key(0), state, jnp.float32(1))


def test_nested_vmap_equals_flat_vmap():
    flat = keys(9)
    _, expected = env_reset(flat, PARAMS)
    nested = jax.vmap(jax.vmap(ENV.reset, (0, None)), (0, None))(flat[:12].reshape(3, 4), PARAMS)[1]
    for a, b in zip(jax.tree.leaves(nested), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a.reshape(12, *b.shape[1:]), b[:12])


@pytest.mark.parametrize("space", [spaces.Discrete(28), ENV.action_space(PARAMS)])
def test_action_space(space):
    assert (space.n, space.shape, space.dtype) == (ENV.num_actions, (), jnp.int32)
    sampled = jax.vmap(space.sample)(keys(5, 2000))
    np.testing.assert_array_equal(np.unique(sampled), np.arange(28))
    assert not bool(space.contains(jnp.int32(-1)))
    assert not bool(space.contains(jnp.int32(28)))
    assert bool(space.contains(jnp.int32(27)))


@pytest.mark.parametrize("env", [ENV, COMPACT], ids=["float", "compact"])
def test_observation_space(env):
    space = env.observation_space(PARAMS)
    obs, _ = env.reset(jax.random.key(0), PARAMS)
    assert (space.shape, space.dtype) == (obs.shape, obs.dtype)
    box = spaces.Box(space.low, space.high, space.shape, space.dtype)
    sampled = box.sample(jax.random.key(0))
    assert (sampled.shape, sampled.dtype) == (obs.shape, obs.dtype)
    assert bool(box.contains(sampled))
    assert bool(box.contains(obs))
    assert not bool(box.contains(obs[:-1]))
    scenario = hm.scenario.to_dict(hm.reset(jax.random.key(0)))
    scenario["player"] |= {"attack": 1000, "data_siphons": 1000, "score": 1000}
    highest = env.get_obs(hm.EnvState(hm.scenario.from_dict(scenario), jnp.float32(0), jnp.int32(0)))
    assert float(highest.max()) == space.high


def test_six_values_are_the_five_with_the_end_told_apart(played):
    v1 = HackMatrixGymnaxV1()
    _, state, action, step_keys, _ = played[3]
    one = jax.tree.map(lambda x: x[0], state)
    key, params = step_keys[0], dataclasses.replace(PARAMS, max_steps=one.episode_length + 1)
    obs, after, reward, done, info = ENV.step(key, one, action[0], params)
    *six, last = v1.step(key, one, action[0], params)
    assert len(six) == 5
    for mine, expected in zip(
        jax.tree.leaves((six, last)),
        jax.tree.leaves(((obs, after, reward, info["terminated"], info["truncated"]), info)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, expected)
    _, cut, _, terminated, _ = v1.step_env(key, one, action[0], params)
    assert not bool(terminated)
    assert bool(v1.is_truncated(cut, params))
    assert bool(done)
    assert not bool(v1.is_truncated(cut, PARAMS))


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        (
            "max_steps",
            [-5, 0, 2**31, 1.5, np.int64(2**32 + 1), float("nan"), float("inf"), 10**5000],
            "an integer from 1 to",
        ),
        ("max_steps", ["x", b"x", "5"], "numbers"),
        ("later_starts", ["0.5"], "numbers"),
        ("reward_weights", [np.full(15, np.nan), np.append(np.ones(14), np.inf)], "finite numbers"),
        ("later_starts", [2.0, -0.1, float("nan")], "a share from 0 to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(field, values, expected):
    for value in values:
        with pytest.raises(ValueError, match=f"{field} is .*expected {expected}"):
            hm.EnvParams(**{field: value})
        with pytest.raises(ValueError, match=f"{field} is .*expected {expected}"):
            PARAMS.replace(**{field: value})
