"""`hm.jit`: the same games, on all devices."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import hackmatrix_core as hm
from tests import ROOT

SPREAD = """
import jax
import numpy as np
import hackmatrix_core as hm

jax.config.update("jax_num_cpu_devices", 3)
env = hm.HackMatrixGymnax()

def play(bonus, keys, states):
    actions = jax.vmap(lambda mask: mask.argmax())(jax.vmap(env.get_action_mask)(states))
    obs, states, reward, *_ = jax.vmap(env.step)(keys, states, actions)
    return obs, states, reward + bonus["of all"]

step, bonus = hm.jit(play, shared=0), {"of all": np.float32(1)}
reset = hm.jit(lambda keys: jax.vmap(env.reset)(keys)[1])
keys = jax.random.split(jax.random.key(0), 6)
states = reset(keys)
expected = jax.device_get(jax.jit(play)(bonus, keys, jax.jit(jax.vmap(env.reset))(keys)[1]))
found = step(bonus, keys, states)
assert {len(x.sharding.device_set) for x in jax.tree.leaves(found)} == {3}
jax.tree.map(np.testing.assert_array_equal, jax.device_get(found), expected)

double = hm.jit(lambda games: 2 * games, donate=0)
for games, devices in ((6, 3), (4, 2), (1, 1)):
    found = double(double(np.arange(games)))
    assert len(found.sharding.device_set) == devices
    np.testing.assert_array_equal(found, 4 * np.arange(games))
given = double(np.arange(6))
double(given)
assert given.is_deleted()
"""


def test_games_are_the_same_on_as_many_devices_as_divide_them():
    run = subprocess.run([sys.executable, "-c", SPREAD], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr


def test_games_that_do_not_match_are_told():
    function = hm.jit(lambda a, b: a + b)
    with pytest.raises(ValueError, match="the first axes are 2, 3, expected one number of games"):
        function(jnp.zeros(2), jnp.zeros(3))
    with pytest.raises(ValueError, match="the first axes are none, 3, expected one number of games"):
        function(jnp.float32(0), jnp.zeros(3))
    with pytest.raises(ValueError, match="the first axes are no argument, expected one number of games"):
        hm.jit(lambda a: a, shared=0)(jnp.zeros(3))


def test_keys_of_both_kinds_have_an_axis_of_games():
    draw = hm.jit(jax.vmap(lambda key: jax.random.bits(key)))
    typed = jax.random.split(jax.random.key(0), 4)
    assert jnp.array_equal(draw(typed), draw(jax.random.key_data(typed)))
