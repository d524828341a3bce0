"""One run on many devices and in several processes gives what one device gives."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from hackmatrix_core.errors import UserError
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.runner import make_agent
from tests.training import probe_environments as probes

RUN = """
import sys

import jax

count, devices, rank, port, run_dir, updates = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", int(devices))
if int(count) > 1:
    jax.distributed.initialize(f"localhost:{port}", int(count), int(rank))
import numpy as np

from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.trainer import Trainer
from tests.training.probe_environments import CuedAction

config = TrainConfig(
    num_envs=32, num_steps=8, num_minibatches=2, hidden_dim=8, num_layers=1, total_timesteps=256 * int(updates)
)
result = Trainer(config, run_dir, CuedAction(), [], resume=True).run()
assert len(jax.devices()) == int(count) * int(devices)
state_devices = {shard.device for leaf in jax.tree.leaves(result.runner.env_state) for shard in leaf.global_shards}
assert len(state_devices) == len(jax.devices())
assert result.stopped_by is None
"""


def run(run_dir, *, processes: int, devices: int, updates: int = 6, port: int = 0) -> None:
    """Train in this many processes with this many CPU devices each."""
    environment = {**os.environ, "PYTHONPATH": ".", "JAX_PLATFORMS": "cpu"}
    settings = [[str(processes), str(devices), str(rank), str(port)] for rank in range(processes)]
    # Only the first process has the directory: the others get one that cannot be made.
    places = [str(run_dir), *["/dev/null/none"] * (processes - 1)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, *setting, place, str(updates)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for setting, place in zip(settings, places, strict=True)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes, "\n".join(outputs)


def parameters(run_dir):
    from hackmatrix_core.training.checkpoints import load_params

    params, about = load_params(run_dir)
    return jax.tree.leaves(params), about


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("one")
    run(run_dir, processes=1, devices=1)
    return parameters(run_dir)


def assert_as_on_one_device(run_dir, one_device):
    for mine, expected in zip(parameters(run_dir)[0], one_device[0], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_eight_devices_equal_one(tmp_path, one_device):
    run(tmp_path, processes=1, devices=8)
    assert_as_on_one_device(tmp_path, one_device)


def test_two_processes_equal_one_and_resume(tmp_path, one_device):
    run(tmp_path, processes=2, devices=2, updates=4, port=free_port())
    run(tmp_path, processes=2, devices=2, updates=6, port=free_port())
    assert_as_on_one_device(tmp_path, one_device)


def test_a_run_can_go_on_with_another_number_of_devices(tmp_path, one_device):
    run(tmp_path, processes=1, devices=4, updates=3)
    run(tmp_path, processes=1, devices=1, updates=6)
    assert_as_on_one_device(tmp_path, one_device)


def test_devices_that_can_not_share_equally(monkeypatch):
    devices = jax.devices() * 3
    monkeypatch.setattr(jax, "devices", lambda: devices)
    agent = make_agent(TrainConfig(num_envs=8, num_minibatches=4), probes.CuedAction())
    assert len(DeviceGroup.of(agent).devices) == 2
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(UserError, match=r"num_envs is 8, which 3 devices .* Set num_envs to a multiple of 12"):
        DeviceGroup.of(agent)
