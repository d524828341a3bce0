"""A caller's mistakes are named in one sentence, and no action costs a second compilation."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm

pytestmark = pytest.mark.quick

RULES = importlib.import_module("hackmatrix_core.game.step")  # the function `step` hides the module
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def state():
    return hm.reset(KEY)


@pytest.fixture(scope="module")
def env():
    return hm.HackMatrixGymnax()


@pytest.fixture(scope="module")
def batch(state):
    return jax.tree.map(lambda x: jnp.stack([x] * 8), state)


@pytest.fixture(scope="module")
def env_state(env):
    return env.reset(KEY)[1]


@pytest.mark.parametrize("function", ["observe", "get_valid_actions"])
def test_looking_at_a_batch(batch, function):
    sentence = rf"hm\.{function}: state has a batch axis of 8, expected one game: use jax\.vmap\(hm\.{function}\)"
    with pytest.raises(ValueError, match=sentence):
        getattr(hm, function)(batch)


def test_a_batch_without_vmap(batch, state, env):
    with pytest.raises(ValueError, match=r"hm\.step: state has a batch axis of 8.*jax\.vmap\(hm\.step\)"):
        hm.step(batch, 0, KEY)
    with pytest.raises(ValueError, match=r"hm\.step: action has a batch axis of 3.*jax\.vmap\(hm\.step\)"):
        hm.step(state, np.zeros(3, np.int32), KEY)
    with pytest.raises(ValueError, match=r"for a batch of keys use jax\.vmap"):
        hm.step(state, 0, jax.random.split(KEY, 3))
    with pytest.raises(ValueError, match=r"env\.step: state has a batch axis of 4"):
        env.step(KEY, jax.vmap(env.reset)(jax.random.split(KEY, 4))[1], 0)


def test_swapped_arguments(state, env, env_state):
    with pytest.raises(TypeError, match=r"hm\.step: state is a .*expected a GameState\. The key and the state may be"):
        hm.step(KEY, 0, state)
    with pytest.raises(TypeError, match=r"env\.step: state is a .*expected an EnvState\. The key and the state may be"):
        env.step(env_state, KEY, 0)


def test_another_kind_of_state(state, env, env_state):
    with pytest.raises(TypeError, match=r"state is a dict, expected a GameState: hm\.scenario\.from_dict\(state\)"):
        hm.step(hm.scenario.to_dict(state), 0, KEY)
    with pytest.raises(TypeError, match=r"hm\.observe: state is an EnvState.* Its field game is one"):
        hm.observe(env_state)
    with pytest.raises(TypeError, match=r"env\.step: state is a GameState, expected an EnvState"):
        env.step(KEY, state, 0)


def test_what_is_no_key(state, env):
    with pytest.raises(TypeError, match=r"hm\.reset: key is 7, expected a random key: jax\.random\.key\(7\)"):
        hm.reset(7)
    with pytest.raises(TypeError, match=r"hm\.step: key is None, expected a random key"):
        hm.step(state, 0, None)
    with pytest.raises(TypeError, match=r"env\.reset: key is 0, expected a random key"):
        env.reset(0)


@pytest.mark.parametrize("action", [1.5, "up", None, True, jnp.float32(1)])
def test_what_is_no_action(state, action):
    with pytest.raises(TypeError, match=r"hm\.step: action is .*, expected an integer from 0 to 27"):
        hm.step(state, action, KEY)


@pytest.mark.parametrize("action", [-1, 28, 2**40, np.int64(2**32), np.uint32(2**32 - 1), jnp.int8(-1), jnp.int32(99)])
def test_an_integer_that_is_none_of_the_28_is_invalid(state, action):
    """Even where its lowest bits are those of a valid action."""
    assert hm.step(state, action, KEY)[1].invalid


def test_one_compilation_serves_every_kind_of_integer(state):
    hm.step(state, np.int32(0), KEY)
    compiled = RULES._step_game._cache_size()
    for action in (0, np.int64(1), np.uint8(2), jnp.int32(3), jnp.asarray(0), jnp.int16(1)):
        hm.step(state, action, KEY)
    assert RULES._step_game._cache_size() == compiled
