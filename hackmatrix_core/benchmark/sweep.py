"""How fast many agents train side by side, against one by itself on the same devices; both are timed in turn."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hackmatrix_core.benchmark import machine
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.compilation import return_free_memory
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.runner import make_agent
from hackmatrix_core.training.side_by_side import AgentGroup
from hackmatrix_core.training.trainer import training_environment
from hackmatrix_core.viewing.tables import Table


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSpeed(machine.Measurement):
    """What was measured; speeds are medians of the repeats."""

    num_agents: int
    steps_per_second: float  # of all agents together
    of_one: float  # the same as a share of one agent's, median of the ratios


def measure(config: TrainConfig, num_agents: int, repeats: int) -> list[SweepSpeed]:
    """Time updates of one agent, and of so many with seeds of their own, on all devices (cores, on a CPU)."""
    one, many = machine.in_own_process(_measure, config, num_agents, repeats)
    return [one, many]


def table(speeds: Sequence[SweepSpeed]) -> Table:
    """One row for each measurement."""
    rows = [["agents", "steps/s of all", "of one agent's", *machine.COSTS]]
    for speed in speeds:
        rows.append(
            [
                str(speed.num_agents),
                f"{speed.steps_per_second:,.0f}",
                f"{speed.of_one:.2f}",
                *machine.Measurement.costs(speed),
            ]
        )
    return Table(rows)


def _measure(config: TrainConfig, num_agents: int, repeats: int) -> tuple[SweepSpeed, SweepSpeed]:
    jax.config.update("jax_enable_compilation_cache", False)
    devices_of_cores()
    agent = make_agent(config, training_environment())
    configs = [dataclasses.replace(config, seed=seed) for seed in range(num_agents)]
    groups = [AgentGroup.of_agents(agent, configs), DeviceGroup.of(agent)]  # compiled first: nothing is traced yet
    runs: list[dict[str, Any]] = []
    for group in groups:
        program = machine.compiled(group.update, group.template)
        return_free_memory()
        beginning = np.float32(0), group.hyperparameters
        runner, _ = jax.block_until_ready(program.run(group.init()(), *beginning))
        costs = program.costs(group.devices)
        runs.append({"program": program, "runner": runner, "beginning": beginning, "costs": costs, "speeds": []})
    for _ in range(repeats):
        for run, group in zip(runs, groups, strict=True):
            seconds, (run["runner"], _) = machine.timed(run["program"].run, run["runner"], *run["beginning"])
            run["speeds"].append(group.batch_size / seconds)
    ratios = [many / one for many, one in zip(*(run["speeds"] for run in runs), strict=True)]
    many, one = (
        SweepSpeed(
            num_agents=count,
            steps_per_second=statistics.median(run["speeds"]),
            of_one=statistics.median(ratios) if run is runs[0] else 1.0,
            **run["costs"],
        )
        for run, count in zip(runs, (num_agents, 1), strict=True)
    )
    return one, many
