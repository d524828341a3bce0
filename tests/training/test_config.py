"""The config: defaults, checks and their messages, presets, devices."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from hackmatrix_core.agent.perception import VIEW, perceive
from hackmatrix_core.training.config import (
    GIB,
    PRESETS,
    DeviceConfig,
    TrainConfig,
    auto_tune_for_device,
    estimate_memory,
    get_device_config,
)

pytestmark = pytest.mark.quick

T4 = DeviceConfig("gpu", "Tesla T4", 1, 15 * GIB)


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
        "value_bins": 0,
        "num_simulations": 0,
        "symlog_rewards": 0,
        "shaping": 1.0,
        "shaping_fades": 0.0,
        "points": 0.0,
        "later_starts": 0.0,
        "seed": 0,
    }
    assert TrainConfig() == TrainConfig.preset("plan")
    assert TrainConfig().num_updates == 10_000_000 // (256 * 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 0}, r"num_envs is 0, expected an integer of at least 1 .*The default is 256"),
        ({"num_envs": 2.5}, r"num_envs is 2\.5, expected an integer"),
        ({"num_steps": True}, r"num_steps is True, expected an integer"),
        ({"num_steps": "128"}, r"num_steps is '128', expected an integer"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0, expected a number above 0 .*The default is 0\.00025"),
        ({"learning_rate": float("nan")}, r"learning_rate is nan, expected a number above 0"),
        ({"gamma": 1.01}, r"gamma is 1\.01, expected a number of at least 0 and at most 1"),
        ({"gamma": 1.0, "gamma_to": 0.9}, r"gamma is 1\.0 and gamma_to 0\.9, .*Set both below 1, or gamma_to to 0"),
        ({"gae_lambda": -0.1}, r"gae_lambda is -0\.1"),
        ({"clip_eps": -1}, r"clip_eps is -1"),
        ({"ent_coef": float("inf")}, r"ent_coef is inf"),
        ({"max_grad_norm": 0}, r"max_grad_norm is 0"),
        ({"seed": -1}, r"seed is -1, expected an integer of at least 0"),
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


def test_presets():
    assert set(PRESETS) == {"plan", "cpu", "t4", "gpu", "tpu"}
    for name in PRESETS:
        assert TrainConfig.preset(name, seed=3).seed == 3
    with pytest.raises(ValueError, match="preset is 'xpu', expected one of plan, cpu, t4, gpu, tpu"):
        TrainConfig.preset("xpu")


def test_minibatches_of_a_preset_are_lowered_to_fit_the_environments():
    assert TrainConfig.preset("cpu").num_minibatches == 16
    assert TrainConfig.preset("cpu", num_envs=24).num_minibatches == 8
    with pytest.raises(ValueError, match="num_envs is 10, not a multiple of num_minibatches = 4"):
        TrainConfig.preset("cpu", num_envs=10)
    with pytest.raises(ValueError, match="num_envs is 24, not a multiple of num_minibatches = 16"):
        TrainConfig.preset("cpu", num_envs=24, num_minibatches=16)
    with pytest.raises(ValueError, match="num_envs is 0, expected an integer of at least 1"):
        TrainConfig.preset("cpu", num_envs=0)
    with pytest.raises(ValueError, match="num_envs is 30, not a multiple of num_minibatches = 4"):
        TrainConfig.preset("plan", num_envs=30)


def test_device_of_this_machine():
    device = get_device_config()
    assert device.count >= 1
    assert device.memory > GIB // 2
    assert device.preset in PRESETS


@pytest.mark.parametrize(
    ("device", "preset"),
    [
        (T4, "t4"),
        (DeviceConfig("gpu", "NVIDIA L4", 1, 22 * GIB * 3 // 4), "gpu"),  # JAX takes three quarters
        (DeviceConfig("gpu", "NVIDIA A100", 1, 40 * GIB), "gpu"),
        (DeviceConfig("tpu", "TPU v5 lite", 1, 16 * GIB), "tpu"),
        (DeviceConfig("cpu", "cpu", 1, 8 * GIB), "cpu"),
        (DeviceConfig("METAL", "Apple M2", 1, 8 * GIB), "cpu"),
    ],
)
def test_tuning_fits_the_device(device, preset, capsys):
    assert device.preset == preset
    config = TrainConfig(num_steps=32)
    tuned = auto_tune_for_device(config, device)
    assert tuned == dataclasses.replace(config, num_envs=TrainConfig.preset(preset).num_envs)
    assert estimate_memory(tuned) <= device.memory // 2
    assert f"{tuned.num_envs} environments" in capsys.readouterr().out


def test_the_estimate_counts_what_is_perceived():
    percept = jax.eval_shape(perceive, jax.ShapeDtypeStruct((1, 1545), np.uint8))
    numbers = percept.cells.size + percept.facts.size
    small, big = (TrainConfig(cell_dim=8, num_envs=n, hidden_dim=1, num_minibatches=1) for n in (8, 16))
    rollout = 8 * 128 * (numbers + 28 + 32)
    minibatch = 8 * 128 * (5 * numbers + 4 * (4 * 2 + 6 * 28 + 4 * VIEW**2 * 8))
    assert estimate_memory(big) - estimate_memory(small) == rollout + minibatch + 8 * 48 * 1024


def test_devices_share_the_environments_and_the_cores_of_a_cpu_the_memory():
    config = TrainConfig(num_envs=32_768, num_minibatches=8)
    for platform, preset in [("tpu", "tpu"), ("cpu", "cpu")]:
        one, eight = (DeviceConfig(platform, platform, count, 16 * GIB) for count in (1, 8))
        assert one.preset == preset
        halved = auto_tune_for_device(config, one)
        assert halved.num_envs < config.num_envs
        assert auto_tune_for_device(config, eight) == (config if platform == "tpu" else halved)


def test_tuning_goes_down_until_it_fits():
    small = DeviceConfig("gpu", "small", 1, 300 * 2**20)
    tuned = auto_tune_for_device(TrainConfig(num_minibatches=3, num_envs=3), small)
    assert tuned.num_envs < TrainConfig.preset("t4").num_envs
    assert tuned.num_envs % 3 == 0
    assert estimate_memory(tuned) <= small.memory // 2
    with pytest.raises(ValueError, match=r"hidden_dim = 20000 .* Reduce one of them"):
        auto_tune_for_device(TrainConfig(hidden_dim=20_000), small)
