"""Several agents that train side by side, in one program."""

import multiprocessing
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.trainer import make_train
from tests.training import probe_environments as probes
from tests.training.own_networks import Small

CONFIG = TrainConfig(num_envs=16, num_steps=16, num_minibatches=2, total_timesteps=256, hidden_dim=32)
SEEDS = 8


class WideObservation(probes.CuedAction):
    """As many numbers as the game shows: smaller weights are decomposed by one thread, and nobody waits."""

    def observe(self, state):
        return jnp.pad(super().observe(state), (0, 1543))


def train_seeds(network=None):
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return jax.jit(jax.vmap(make_train(CONFIG, WideObservation(), network))), keys


def train_ten_times():
    train, keys = train_seeds()
    for _ in range(10):
        assert np.isfinite(train(keys)[1]["value_loss"]).all()


@pytest.mark.parametrize("network", [None, Small(num_actions=2, sizes=(32, 16))], ids=["ours", "theirs"])
def test_no_program_has_a_batched_qr_decomposition(network):
    train, keys = train_seeds(network)
    text = train.lower(keys).as_text()
    shapes = re.findall(r"@lapack_s(?:geqrf|orgqr)\w*\(.* : \(tensor<([\dx]+)xf32>", text)
    assert len(shapes) >= 4
    assert all(shape.count("x") == 1 for shape in shapes), shapes


def test_eight_seeds_come_to_an_end_each_time():
    """With a batched decomposition a run hangs more often than not, with jaxlib 0.10 on two cores."""
    process = multiprocessing.get_context("spawn").Process(target=train_ten_times)
    process.start()
    process.join(300)
    hangs = process.is_alive()
    process.kill()
    assert (hangs, process.exitcode) == (False, 0)
