"""Sizes that fit the device."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from hackmatrix_core import evaluation
from hackmatrix_core.agent.perception import VIEW, perceive
from hackmatrix_core.agent.search import UNDO_DEPTH
from hackmatrix_core.game import history, reset
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.training.config import PRESETS, TrainConfig
from hackmatrix_core.training.runner import as_plain
from hackmatrix_core.training.tuning import (
    EVALUATED_GAME,
    GIB,
    SEARCHED_STATE,
    DeviceConfig,
    auto_tune_for_device,
    estimate_memory,
    get_device_config,
)

pytestmark = pytest.mark.quick

T4 = DeviceConfig("gpu", "Tesla T4", 1, 15 * GIB)


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


def size_of(tree):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(as_plain, tree)))


def test_the_estimates_of_evaluation_and_search_count_what_they_keep():
    key = jax.eval_shape(lambda: jax.random.key(0))
    few, many = (
        jax.eval_shape(partial(evaluation.begin, count=4, num_games=n, undo_depth=128), key) for n in (128, 256)
    )
    kept = (size_of(many) - size_of(few)) / 128
    assert kept < EVALUATED_GAME < 4 * kept
    node = size_of(jax.eval_shape(lambda key: history.recent(reset(key), UNDO_DEPTH), key)) + 6 * 4 * NUM_ACTIONS
    assert node < SEARCHED_STATE < 2 * node


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
