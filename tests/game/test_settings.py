"""The same game under every setting of JAX that a user may choose, and wherever the games lie.

Most of it compares programs instead of games: what lowers to the same text plays the same, and need not be compiled.
"""

import re
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import hackmatrix_core as hm
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.trainer import Trainer, make_train
from tests import ROOT
from tests.training import probe_environments as probes

GAMES = 4
ENV = hm.HackMatrixGymnax(compact_observations=True)
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, GAMES)
# A plain number would be an argument of the width that the setting says.
PARAMS = hm.EnvParams(max_steps=np.int32(2000))
SIZES = {"num_envs": 4, "num_steps": 4, "num_minibatches": 2, "hidden_dim": 8, "num_layers": 1}
reset, step = jax.vmap(ENV.reset, (0, None)), jax.vmap(ENV.step, (0, 0, 0, None))
STATES = jax.eval_shape(reset, KEYS, PARAMS)[1]
ACTIONS = jax.ShapeDtypeStruct((GAMES,), jnp.int32)


def text(function, *arguments):
    """The program; a new function each time, because JAX remembers what it has lowered."""
    return jax.jit(lambda *arguments: function(*arguments)).lower(*arguments).as_text()


def set_wide(is_wide):
    """`jax_enable_x64`; JAX has this context under two names."""
    return (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(is_wide)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(step, (KEYS, STATES, ACTIONS, PARAMS)), (reset, (KEYS, PARAMS)), (jax.vmap(hm.observe), (STATES.game,))],
    ids=["step", "reset", "observe"],
)
def test_the_game_has_no_arrays_of_64_bits(function, arguments):
    with set_wide(True):
        program = text(function, *arguments)
    found = re.findall(r"tensor<[\dx]*x(?:ui64|i64|f64)>", re.sub(r"= dense<.*?> : tensor<\w+>", "", program))
    assert found == []  # single numbers, as plain Python's are, do no harm
    if function is not step:
        assert program == text(function, *arguments)


@pytest.mark.parametrize("changes", [{}, {"cell_dim": 4, "symlog_rewards": 1}])
def test_training_has_no_number_of_64_bits(changes):
    config = TrainConfig(**SIZES, **changes, total_timesteps=16)
    environment = None if changes else probes.TwoStepCredit()  # PPO itself, at the price of a small environment
    with set_wide(True):
        shapes = jax.eval_shape(make_train(config, environment), KEY)
    numbers = [leaf for leaf in jax.tree.leaves(shapes) if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    assert max(leaf.dtype.itemsize for leaf in numbers) == 4


def test_a_baseline_draws_the_same_with_64_bits():
    masks = jnp.asarray(np.random.default_rng(0).random((64, 28)) < 0.5)

    def actions():
        return np.asarray(jax.vmap(lambda mask, key: hm.baselines.random(None, None, mask, key))(masks, keys))

    keys = jax.random.split(KEY, 64)
    with set_wide(True):
        found = actions()
    np.testing.assert_array_equal(found, actions())
    assert found.dtype == np.int32


def test_shard_map_with_its_own_checks_and_without_is_one_program():
    mesh, spread, shared = Mesh(np.array(jax.devices()[:1]), "d"), PartitionSpec("d"), PartitionSpec()

    def mapped(function, in_specs, *, check):
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=spread, check_vma=check)

    specs = (spread, spread, spread, shared)
    jax.eval_shape(mapped(step, specs, check=True), KEYS, STATES, ACTIONS, PARAMS)
    programs = [text(mapped(jax.vmap(hm.observe), (spread,), check=check), STATES.game) for check in (True, False)]
    assert programs[0] == programs[1]


def test_games_can_be_spread_by_their_type():
    """On a mesh whose axes are explicit, as `jax.make_mesh` makes them."""
    mesh = Mesh(np.array(jax.devices()[:1]), "d", axis_types=(AxisType.Explicit,))

    def on_mesh(tree):
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, PartitionSpec("d"))), tree
        )

    _, states = jax.eval_shape(reset, on_mesh(KEYS), PARAMS)
    assert {leaf.sharding.spec[0] for leaf in jax.tree.leaves(states)} == {"d"}
    obs, states, *_ = jax.eval_shape(step, on_mesh(KEYS), on_mesh(STATES), on_mesh(ACTIONS), PARAMS)
    assert {leaf.sharding.spec[0] for leaf in jax.tree.leaves((obs, states))} == {"d"}


SPREAD = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import hackmatrix_core as hm

games = [hm.reset(jax.random.key(seed)) for seed in range(4)]
look = jax.jit(jax.vmap(lambda state: (hm.observe(state), hm.get_valid_actions(state))))
for kind in (AxisType.Auto, AxisType.Explicit):
    sharding = NamedSharding(Mesh(np.array(jax.devices()), "d", axis_types=(kind,)), PartitionSpec("d"))
    found = look(jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *games), sharding))
    assert len(found[0].sharding.device_set) == 2
    found = jax.device_get(found)
    for i, game in enumerate(games):
        np.testing.assert_array_equal(found[0][i], hm.observe(game))
        np.testing.assert_array_equal(found[1][i], hm.get_valid_actions(game))
"""


def test_games_on_two_devices_are_the_same():
    run = subprocess.run([sys.executable, "-c", SPREAD], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr


def test_no_games():
    none = jax.tree.map(lambda x: jnp.zeros((0, *x.shape[1:]), x.dtype), STATES)
    obs, states, *_ = jax.eval_shape(step, KEYS[:0], none, jnp.zeros(0, jnp.int32), PARAMS)
    assert (obs.shape, states.game.cells.shape) == ((0, 1545), (0, 36))
    assert jax.vmap(hm.get_valid_actions)(none.game).shape == (0, 28)


def test_an_exported_game_can_be_called():
    look = jax.jit(lambda state: (hm.observe(state), hm.get_valid_actions(state)))
    state = hm.reset(KEY)
    jax.tree.map(np.testing.assert_array_equal, jax.export.export(look)(state).call(state), look(state))
    exported = jax.export.export(jax.jit(step))(KEYS, STATES, ACTIONS, PARAMS)
    assert exported.out_avals[0].shape == (GAMES, 1545)
    assert exported.mlir_module_serialized


def test_a_default_device_and_the_other_random_numbers_change_no_game():
    state = hm.reset(KEY)
    with jax.default_device(jax.devices("cpu")[0]), jax.threefry_partitionable(False):
        other = hm.reset(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, state, other)


def test_nothing_in_an_update_is_no_number(tmp_path):
    """Not even where no episode ends: in one step of one that has two."""
    config = TrainConfig(**SIZES | {"num_steps": 1}, total_timesteps=4)
    with jax.debug_nans(True):
        result = Trainer(config, tmp_path, env=probes.TwoStepCredit()).run()
    record = result.history[-1]
    assert (record["update"], record["episodes"], record["episode_return"]) == (1, 0, None)
