"""The benchmark runs, and what it says fits together. How fast anything is, no test asks."""

import json
import os
import re
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.agent.perception import CELL_SCALE, FACT_SCALE, VIEW
from hackmatrix_core.benchmark import training
from hackmatrix_core.benchmark.machine import in_own_process
from hackmatrix_core.cli import main
from hackmatrix_core.errors import UserError
from hackmatrix_core.game.observation import OBSERVATION_SIZE
from hackmatrix_core.game.state import NUM_CELLS
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import make_agent
from hackmatrix_core.training.trainer import training_environment


@pytest.mark.slow
def test_one_row_for_each_size(capsys):
    assert main(["benchmark", "env", "--num-envs", "24", "--repeats", "1"]) == 0
    head, line = capsys.readouterr().out.strip().splitlines()[-2:]
    columns = re.split(r"\s{2,}", head.strip())
    row = dict(zip(columns, re.split(r"\s{2,}", line.strip()), strict=True))
    number = {name: float(re.sub("[^0-9.]", "", value)) for name, value in row.items()}
    assert number["envs"] == 24
    assert number["steps/s"] > 0
    assert number["without obs"] > 0
    assert number["lowering"] > 0
    assert number["compiling"] > 0
    assert number["peak memory"] > 100  # MiB; Python with JAX alone takes as much
    assert 20_000 < number["state"] < 25_000  # bytes of a game, with its undo history at the default depth


@pytest.mark.slow
def test_a_search_is_measured_against_its_floor_and_printed_if_no_file_takes_it(capsys):
    sizes = ["--num-envs", "2", "--simulations", "3", "--repeats", "1"]
    assert main(["benchmark", "search", *sizes, "--json", "/dev/full"]) == 1
    out, err = capsys.readouterr()
    assert err == "hackmatrix: /dev/full cannot be written: No space left on device. It stands above instead\n"
    shown, _, report = out.partition("[\n")
    (row,) = json.loads("[" + report)
    assert row["num_games"] == 2
    games, simulations, move, positions, of_floor, *_ = re.split(r"\s{2,}", shown.strip().splitlines()[-1].strip())
    assert (games, simulations) == ("2", "3")
    assert move.endswith(" ms")
    assert float(positions.replace(",", "")) > 0
    assert float(of_floor.removesuffix(" ×")) > 0


@pytest.mark.slow
def test_agents_side_by_side_are_measured_against_one(tmp_path, capsys):
    file = tmp_path / "sweep.json"
    sizes = ["--num-envs", "64", "--agents", "3", "--repeats", "1"]
    assert main(["benchmark", "sweep", *sizes, "--json", str(file)]) == 0
    assert "of one agent's" in capsys.readouterr().out
    one, many = json.loads(file.read_text())
    assert (one["num_agents"], many["num_agents"], one["of_one"]) == (1, 3, 1.0)
    assert many["of_one"] == pytest.approx(many["steps_per_second"] / one["steps_per_second"])
    assert min(many["compiling"], many["lowering"], many["peak_memory"]) > 0


def test_the_ceiling_is_what_the_network_computes_without_biases():
    agent = make_agent(TrainConfig(hidden_dim=32), training_environment())
    observations = jax.random.randint(jax.random.key(0), (4, OBSERVATION_SIZE), 0, 2, jnp.uint8)
    params = agent.init(jax.random.key(1), observations)
    logits, value = agent.apply(params, agent.network_input(observations))  # biases are 0 at the start
    found = training._heads(params, agent.env.decode_observation(observations))
    np.testing.assert_allclose(found, jnp.concatenate([logits, value[:, None]], axis=1), atol=1e-5)


def test_the_ceiling_embeds_the_cells_of_the_board_once():
    agent = make_agent(TrainConfig(hidden_dim=32, cell_dim=16), training_environment())
    params = agent.init(jax.random.key(1), jnp.zeros((4, OBSERVATION_SIZE), jnp.uint8))
    size = training._input_size(params)
    assert size == NUM_CELLS * CELL_SCALE.size + FACT_SCALE.size + (VIEW**2 - NUM_CELLS) * 16
    assert training._heads(params, jnp.zeros((4, size))).shape == (4, 29)


def _one_of_two() -> tuple[int, int]:
    jax.config.update("jax_num_cpu_devices", 2)
    return len(training._group(TrainConfig.preset("cpu"), one_device=True).devices), jax.device_count()


def test_one_device_is_one_where_there_are_more():
    assert in_own_process(_one_of_two) == (1, 2)


@pytest.mark.slow
def test_training_is_measured_against_its_ceiling():
    config = TrainConfig.preset("cpu", num_envs=16)
    speed = training.measure(config, repeats=1)
    assert speed.num_devices >= 1
    assert speed.of_ceiling == pytest.approx(speed.steps_per_second / speed.ceiling)
    assert min(speed.lowering, speed.compiling) > 0
    assert speed.peak_memory > 2**28  # Python with JAX alone takes as much
    assert speed.state_memory > 2**20  # the parameters and Adam's moments alone
    assert speed.num_devices * speed.temporary_memory > 16 * 32 * 1545  # the rollout's observations


def _raise() -> None:
    raise ValueError("no room")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_goes_wrong_in_a_measuring_process_is_told():
    assert in_own_process(abs, -3) == 3
    with pytest.raises(ValueError, match="no room") as caught:
        in_own_process(_raise)
    assert "in _raise" in caught.value.__notes__[0]
    with pytest.raises(UserError, match=r"the process that measures ended early, with code 3$"):
        in_own_process(os._exit, 3)
    with pytest.raises(UserError, match="with code -9: it was killed, as it happens where memory is short"):
        in_own_process(_kill)


MEASURING = """
import time
from multiprocessing import util
from hackmatrix_core.interrupts import end_at_interrupt, postponed

if __name__ == "__main__":
    end_at_interrupt()  # before JAX starts threads, as the command does
from hackmatrix_core.benchmark.machine import in_own_process

def measure():
    print("measuring", flush=True)
    time.sleep(600)

spawn = util.spawnv_passfds

def spawn_slowly(*arguments):
    child = spawn(*arguments)
    print("spawned", flush=True)
    time.sleep(0.5)  # the child waits to be told what to do
    return child

if __name__ == "__main__":
    print("started", flush=True)
    with postponed():
        pass  # has started Python's tracker of resources, a process as well
    util.spawnv_passfds = spawn_slowly
    in_own_process(measure)
"""


UNTOLD = "Traceback.*EOFError: Ran out of input"
"""What a process says that nobody tells what to do: its parent was killed, which cannot be put off."""


@pytest.mark.parametrize(
    ("number", "line", "code", "said"),
    [
        ("SIGINT", "started", 130, "hackmatrix: interrupted"),
        ("SIGINT", "spawned", 130, "hackmatrix: interrupted"),
        ("SIGINT", "measuring", 130, "hackmatrix: interrupted"),
        ("SIGKILL", "started", -9, f"({UNTOLD})?"),  # it may have been spawned by then
        ("SIGKILL", "spawned", -9, UNTOLD),
        ("SIGKILL", "measuring", -9, ""),
    ],
)
def test_a_measuring_process_ends_with_its_parent(tmp_path, number, line, code, said):
    (tmp_path / "measuring.py").write_text(MEASURING)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "measuring.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while process.stdout.readline().strip() != line:
        assert process.poll() is None, process.stderr.read()
    if number == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.kill()
    _, err = process.communicate(timeout=30)  # until every process has closed its output
    assert process.returncode == code
    assert re.fullmatch(said, err.strip(), re.DOTALL), err
