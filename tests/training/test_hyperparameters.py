"""Settings that are numbers are arguments: another value compiles nothing, and gives what a constant gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import VARIABLE, Hyperparameters
from hackmatrix_core.training.trainer import Trainer, make_train
from tests.training import probe_environments as probes

SIZES = {"num_envs": 16, "num_steps": 16, "num_minibatches": 2, "total_timesteps": 1024, "hidden_dim": 16}
PLAIN = TrainConfig(**SIZES)
VALUES = {
    "learning_rate": 1e-3,
    "gamma": 0.9,
    "gamma_to": 0.99,
    "gae_lambda": 0.8,
    "clip_eps": 0.001,
    "vf_coef": 1.0,
    "ent_coef": 0.02,
    "uniform_coef": 0.03,
    "anneal_to": 0.1,
    "max_grad_norm": 0.02,
    "shaping": 0.7,
    "shaping_fades": 0.5,
    "kills": 3.0,
}
OTHER_GAME = [name for name in VALUES if name not in ("shaping", "shaping_fades", "kills")]


class TwoSteps(probes.WeightedAction):
    """With a step for the discount to count."""

    steps = 2


def same(first, second):
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("env", [TwoSteps(), probes.TwoStepCredit()], ids=["weighted", "other game"])
def test_arguments_give_what_constants_give(env):
    values = VALUES if isinstance(env, TwoSteps) else {name: VALUES[name] for name in OTHER_GAME}
    key = jax.random.key(3)
    runner, metrics = jax.jit(make_train(PLAIN.with_values(values), env))(key)
    train = jax.jit(make_train(PLAIN, env, vary=tuple(values)))
    varied, metrics_of_varied = train(key, values)
    same((runner.params, metrics.numbers), (varied.params, metrics_of_varied.numbers))
    plain = train(key, {name: getattr(PLAIN, name, 1.0) for name in values})[0].params
    assert any(not np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (plain, runner.params)), strict=True))


def test_each_value_counts():
    """A value that is lost on the way would leave the training as it was."""
    key, names = jax.random.key(3), tuple(VALUES)
    train = jax.jit(make_train(PLAIN, TwoSteps(), vary=names))
    usual = train(key, VALUES)[0].params
    for name in names:
        changed = train(key, VALUES | {name: VALUES[name] / 2})[0].params
        pairs = zip(jax.tree.leaves(usual), jax.tree.leaves(changed), strict=True)
        assert any(not np.array_equal(*pair) for pair in pairs), name
    assert train._cache_size() == 1


def test_it_maps_over_keys_values_or_both():
    keys, rates = jax.random.split(jax.random.key(0), 3), jnp.array([1e-4, 1e-3, 1e-2], jnp.float32)
    train = make_train(PLAIN, probes.CuedAction(), vary=("learning_rate",))
    both = jax.jit(jax.vmap(train))(keys, {"learning_rate": rates})[0].params
    values = jax.jit(jax.vmap(train, (None, 0)))(keys[1], {"learning_rate": rates})[0].params
    over_keys = jax.jit(jax.vmap(train, (0, None)))(keys, {"learning_rate": rates[1]})[0].params
    one = jax.jit(train)(keys[1], {"learning_rate": rates[1]})[0].params
    for many in (both, values, over_keys):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1], y, atol=1e-6), many, one)


def test_what_starts_at_zero_can_vary_in_the_game():
    """Points and later starts change what a step computes; as arguments of 0 they change nothing."""
    config = TrainConfig(**SIZES | {"total_timesteps": 512}, shaping_fades=0.5)
    key = jax.random.key(1)
    train = jax.jit(make_train(config, vary=("points", "later_starts")))
    none, some = (train(key, {"points": x, "later_starts": x})[0] for x in (0.0, 1.0))
    plain = jax.jit(make_train(config))(key)[0]
    same((plain.params, plain.obs), (none.params, none.obs))
    assert not np.array_equal(none.obs, some.obs)


def test_another_coefficient_compiles_nothing(tmp_path):
    """The same program for all: what is lowered does not hold the values, nor the seed."""

    def lowered(**changes):
        config = TrainConfig(**SIZES, shaping_fades=0.5, points=1.0, **changes)
        group = Trainer(config, tmp_path / str(len(changes)), TwoSteps(), callbacks=[])._group
        return group.update(group.template).as_text(), group.init().func.lower(*group.init().args).as_text()

    others = {"learning_rate": 1e-4, "gamma": 0.5, "gamma_to": 0.75, "reward_weights": {"kills": 2.0}, "seed": 7}
    assert lowered() == lowered(**others)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (("num_envs",), "num_envs, which cannot vary inside a program: it decides the shapes of arrays"),
        (("symlog_rewards",), "symlog_rewards, which cannot vary inside a program: it decides what is computed"),
        (("reward_weights",), "reward_weights, which cannot vary .*name its parts"),
        (("seed",), "the key takes its place"),
        (("learning_rat",), "'learning_rat', expected names among learning_rate, "),
        ("gamma", r"vary is 'gamma', expected several names, as in \('gamma',\)"),
    ],
)
def test_what_cannot_vary_is_refused(vary, message):
    with pytest.raises(ValueError, match=message):
        make_train(PLAIN, vary=vary)


@pytest.mark.parametrize("name", ["points", "later_starts", "kills", "shaping"])
def test_what_an_environment_does_not_have_cannot_vary(name):
    with pytest.raises(ValueError, match=f"{name}"):
        make_train(PLAIN, probes.ConstantReward(), vary=(name,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "values given are none, expected are gamma, kills"),
        ({"gamma": 0.5, "kills": 1, "points": 1}, "given are gamma, kills, points, expected are gamma, kills"),
        ({"gamma": 2, "kills": 1}, "gamma is 2, expected a number of at least 0 and at most 1"),
        ({"gamma": jnp.float32(-1), "kills": 1}, "gamma is -1"),
        ({"gamma": 0.5, "kills": np.float32(np.inf)}, "inf for kills, expected a finite number"),
        ({"gamma": np.ones(3), "kills": 1}, r"gamma has shape \(3,\), expected one number: map over it with jax.vmap"),
    ],
)
def test_values_that_are_none_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        make_train(PLAIN, vary=("gamma", "kills"))(jax.random.key(0), values)


def test_every_number_of_the_config_is_an_argument():
    numbers = {name for name, field in TrainConfig.__dataclass_fields__.items() if field.type is float}
    assert numbers == set(VARIABLE) & set(TrainConfig.__dataclass_fields__)
    assert {*numbers, "reward_weights"} == set(Hyperparameters._fields)
