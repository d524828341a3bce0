"""The config: defaults, checks and their messages, presets, what earlier versions stored."""

import dataclasses
import json

import numpy as np
import pytest

from hackmatrix_core.training.config import PRESETS, TrainConfig

pytestmark = pytest.mark.quick


def test_defaults_are_the_plan():
    assert TrainConfig().to_dict() == {
        "num_envs": 256,
        "num_steps": 128,
        "total_timesteps": 10_000_000,
        "learning_rate": 2.5e-4,
        "gamma": 0.99,
        "gamma_to": 0.0,
        "gae_lambda": 0.95,
        "num_minibatches": 4,
        "update_epochs": 4,
        "clip_eps": 0.2,
        "vf_coef": 0.5,
        "ent_coef": 0.1,
        "uniform_coef": 0.0,
        "anneal_to": 1.0,
        "max_grad_norm": 0.5,
        "hidden_dim": 256,
        "num_layers": 2,
        "cell_dim": 0,
        "network": None,
        "symlog_rewards": 0,
        "shaping": 1.0,
        "shaping_fades": 0.0,
        "points": 0.0,
        "reward_weights": {},
        "later_starts": 0.0,
        "seed": 0,
    }
    assert TrainConfig() == TrainConfig.preset("plan")
    assert TrainConfig().num_updates == 10_000_000 // (256 * 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 0}, r"num_envs is 0, expected an integer of at least 1 \(environments that run side by side\)$"),
        ({"num_envs": 2.5}, r"num_envs is 2\.5, expected an integer"),
        ({"num_steps": True}, r"num_steps is True, expected an integer"),
        ({"num_steps": "128"}, r"num_steps is '128', expected an integer"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0, expected a number above 0 \(step size of Adam\)$"),
        ({"learning_rate": float("nan")}, r"learning_rate is nan, expected a number above 0"),
        ({"gamma": 1.01}, r"gamma is 1\.01, expected a number of at least 0 and at most 1"),
        ({"gamma": 1.0, "gamma_to": 0.9}, r"gamma is 1\.0 and gamma_to 0\.9, .*Set both below 1, or gamma_to to 0"),
        ({"gae_lambda": -0.1}, r"gae_lambda is -0\.1"),
        ({"clip_eps": -1}, r"clip_eps is -1"),
        ({"ent_coef": float("inf")}, r"ent_coef is inf"),
        ({"max_grad_norm": 0}, r"max_grad_norm is 0"),
        ({"reward_weights": 3}, r"reward_weights is 3, expected weights of reward parts \(R10\) by name"),
        ({"reward_weights": {"kils": 3}}, r"reward_weights has 'kils', expected names among step_penalty, .*kills"),
        ({"reward_weights": {"kills": float("nan")}}, r"reward_weights has nan for kills, expected a finite number"),
        ({"reward_weights": {"kills": "3"}}, r"reward_weights has '3' for kills, expected a finite number"),
        ({"points": 1e308}, r"points is 1e\+308, expected a number of at least 0 and at most 3\.4"),
        ({"num_envs": 10**400}, r"num_envs is 10{59}…, expected an integer of at least 1 and at most 3\.4"),
        ({"total_timesteps": 10**5000}, r"total_timesteps is an integer of thousands of digits, expected"),
        ({"gamma": -(10**400)}, r"gamma is -10{58}…, expected a number of at least 0"),
        ({"seed": 2**32}, r"expected an integer of at least 0 and at most 4294967295 "),
        ({"seed": -1}, r"seed is -1, expected an integer of at least 0 and at most 4294967295 \("),
        (
            {"num_envs": 30},
            r"num_envs is 30, not a multiple of num_minibatches = 4.*num_envs to 32.*num_minibatches to 2",
        ),
        (
            {"total_timesteps": 1000},
            r"total_timesteps is 1,000, less than one update.*256 × 128 = 32,768.*Set it to 32768",
        ),
    ],
)
def test_a_wrong_field_is_refused_with_its_name_value_and_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


def test_config_is_frozen_and_plain_numbers_go_in():
    config = TrainConfig(num_envs=np.int64(8), learning_rate=1)
    assert type(config.num_envs) is int
    assert type(config.learning_rate) is float
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_envs = 3


def test_json_round_trip_and_differences():
    config = TrainConfig(num_envs=64, gamma=0.5, seed=7)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.differences(TrainConfig()) == {"num_envs": (64, 256), "gamma": (0.5, 0.99), "seed": (7, 0)}
    with pytest.raises(ValueError, match=r"unknown config field learn_rate; the fields are .*learning_rate"):
        TrainConfig.from_dict({"learn_rate": 1})


def test_configs_of_earlier_versions_are_read():
    """They have fields that were removed, at the values that mean what is done now; nothing else can be done."""
    assert TrainConfig.from_dict({"seed": 7, "value_bins": 0, "num_simulations": 0}) == TrainConfig(seed=7)
    with pytest.raises(ValueError, match=r"value_bins is 61, and value_bins was removed: only 0 can be used"):
        TrainConfig.from_dict({"value_bins": 61})


def test_presets():
    assert set(PRESETS) == {"plan", "cpu", "t4", "gpu", "tpu"}
    for name in PRESETS:
        assert TrainConfig.preset(name, seed=3).seed == 3
    with pytest.raises(ValueError, match="preset is 'xpu', expected one of plan, cpu, t4, gpu, tpu"):
        TrainConfig.preset("xpu")
    with pytest.raises(ValueError, match=r"unknown config field ent_coeff; the fields are .*ent_coef"):
        TrainConfig.preset("cpu", ent_coeff=0.1)


def test_minibatches_of_a_preset_are_lowered_to_fit_the_environments():
    assert TrainConfig.preset("cpu").num_minibatches == 8
    assert TrainConfig.preset("cpu", num_envs=20).num_minibatches == 4
    with pytest.raises(ValueError, match="num_envs is 10, not a multiple of num_minibatches = 4"):
        TrainConfig.preset("cpu", num_envs=10)
    with pytest.raises(ValueError, match="num_envs is 20, not a multiple of num_minibatches = 8"):
        TrainConfig.preset("cpu", num_envs=20, num_minibatches=8)
    with pytest.raises(ValueError, match="num_envs is 0, expected an integer of at least 1"):
        TrainConfig.preset("cpu", num_envs=0)
    with pytest.raises(ValueError, match="num_envs is 30, not a multiple of num_minibatches = 4"):
        TrainConfig.preset("plan", num_envs=30)
