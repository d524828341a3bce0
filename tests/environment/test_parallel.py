"""`hm.jit`: the same games, on all devices."""

import pickle
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

x = np.arange(6)
total = lambda games, all_games: games + all_games.sum()
np.testing.assert_array_equal(hm.jit(total, shared=-1)(x, x), x + 15)
np.testing.assert_array_equal(hm.jit(total, shared=1)(x, all_games=x), x + 15)
np.testing.assert_array_equal(hm.jit(lambda x, *, y: x + y)(x, y=x), 2 * x)

# On one device or on three, and whatever a share's shapes are by chance.
for games in (np.arange(6), np.arange(7), np.arange(3)):
    size = len(games)
    for wrong in (
        lambda x: x.sum(),
        lambda x: (x, {"mean": x.mean()}),
        lambda x: x[:2],
        lambda x: np.zeros(size + 1),
        lambda x: np.zeros((28, size)),
        lambda x: 1.0,
        lambda x: x.sum(keepdims=True),
    ):
        try:
            found = hm.jit(wrong)(games)
        except ValueError as error:
            assert f"expected {size} games along its first axis" in str(error), error
        else:
            raise SystemExit((size, found))
for games in (np.arange(6), np.arange(7), np.arange(0)):
    np.testing.assert_array_equal(hm.jit(lambda x: (x, None, {}))(games)[0], games)
try:
    hm.jit(lambda x: np.zeros(6))(x)  # right for all games, wrong for a share
except ValueError as error:
    assert "expected 2 games" in str(error)
else:
    raise SystemExit("a share was not checked")

square = hm.jit(lambda weight, x: weight * x**2, shared=0)
weight, y = np.float32(3), np.arange(6, dtype=np.float32)
within = {
    "jit": jax.jit(square)(weight, y),
    "constants in jit": jax.jit(lambda: square(weight, y))(),
    "scan": jax.lax.scan(lambda z, _: (z, square(weight, z)), y, None, 1)[1][0],
    "itself": hm.jit(square, shared=0)(weight, y),
    "grad": jax.grad(lambda weight: square(weight, y).sum() * weight / 2)(weight),
    "vmap": jax.vmap(square, (None, 0))(weight, y[None])[0],
    "vmap of constants": jax.vmap(lambda one: square(weight, y) + one)(np.zeros(2, np.float32))[1],
}
for name, found in within.items():
    np.testing.assert_allclose(found, 3 * y.dot(y) if name == "grad" else 3 * y**2, err_msg=name)
with jax.disable_jit():
    np.testing.assert_allclose(square(weight, y), 3 * y**2)
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


@pytest.mark.parametrize("positions", [2, -3, (0, 5), True, 0.0, "games", None, [[0]]])
@pytest.mark.parametrize("name", ["shared", "donate"])
def test_positions_that_are_none_are_told(name, positions):
    with pytest.raises(ValueError, match=rf"{name} is .*, expected positions of arguments, of which there are 2"):
        hm.jit(lambda a, b: a + b, **{name: positions})(jnp.zeros(2), jnp.zeros(2))


def test_what_cannot_be_called_is_told():
    with pytest.raises(TypeError, match="function is 3, expected a function of many games"):
        hm.jit(3)
    with pytest.raises(TypeError, match="missing a required argument: 'b'"):
        hm.jit(add)(a=jnp.zeros(2))


def add(a, b):
    """Of two."""
    return a + b


@hm.jit
def decorated(a):
    return a


def test_it_is_pickled_as_its_function_is():
    games = jnp.arange(2)
    for function in (hm.jit(add, shared=-1, donate=()), hm.jit(add, shared=1)):
        again = pickle.loads(pickle.dumps(function))
        assert jnp.array_equal(again(games, jnp.int32(1)), games + 1)
        assert (again.__name__, again.__doc__) == ("add", "Of two.")
    assert pickle.loads(pickle.dumps(decorated)) is decorated  # it has its function's place
    cloudpickle = pytest.importorskip("cloudpickle")
    again = pickle.loads(cloudpickle.dumps(hm.jit(lambda a, by: a + by, shared=1)))
    assert jnp.array_equal(again(games, by=jnp.int32(1)), games + 1)


def test_keys_of_both_kinds_have_an_axis_of_games():
    draw = hm.jit(jax.vmap(lambda key: jax.random.bits(key)))
    typed = jax.random.split(jax.random.key(0), 4)
    assert jnp.array_equal(draw(typed), draw(jax.random.key_data(typed)))
