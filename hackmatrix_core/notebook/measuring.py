"""Benchmarks in a cell: rows appear as they are measured."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
from IPython.display import display

from hackmatrix_core.benchmark import env, training
from hackmatrix_core.notebook import settings
from hackmatrix_core.training.config import TrainConfig, get_device_config
from hackmatrix_core.viewing.style import styled
from hackmatrix_core.viewing.tables import Table
from hackmatrix_core.viewing.waiting import Waiting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRAINING_HEAD = ("preset", "steps/s", "ceiling", "share of it", "lowering", "compiling", "peak memory")


def measure_env(sizes: Sequence[int], repeats: int) -> list[env.EnvSpeed]:
    """`benchmark.env.measure_env` with a table that grows."""
    sizes, repeats = ([8], 1) if settings.SMOKE else (sizes, repeats)
    rows: list[env.EnvSpeed] = []
    table = _Growing()
    with Waiting("measuring the game", "compiling first, without the cache") as line:
        line.reached(0, len(sizes))
        for row in env.measure_env(sizes, repeats):
            rows.append(row)
            table.show(env.table(rows))
            line.reached(len(rows), len(sizes))
    return rows


@styled
def plot_speeds(speeds: Sequence[env.EnvSpeed]) -> "Figure":
    """Steps a second by the number of environments, as bars."""
    from hackmatrix_core.viewing.figures import Picture

    figure = Picture(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar([f"{s.num_envs:,}" for s in speeds], [s.steps_per_second / 1000 for s in speeds], width=0.5)
    axes.set(xlabel="environments side by side", ylabel="thousand steps a second")
    axes.grid(axis="y", alpha=0.3)
    return figure


def measure_training(configs: Mapping[str, TrainConfig], repeats: int) -> dict[str, training.TrainSpeed]:
    """`benchmark.training.measure` of several configs, with a table that grows; results by name."""
    if settings.SMOKE:
        tiny = TrainConfig(num_envs=8, num_steps=8, hidden_dim=16, total_timesteps=64)
        configs, repeats = {next(iter(configs)): tiny}, 1
    speeds: dict[str, training.TrainSpeed] = {}
    lines: list[Sequence[str]] = [_TRAINING_HEAD]
    table = _Growing()
    with Waiting("measuring training", "compiling first, without the cache") as line:
        line.reached(0, len(configs))
        for name, config in configs.items():
            speed = speeds[name] = training.measure(config, repeats)
            numbers = f"{speed.steps_per_second:,.0f}", f"{speed.ceiling:,.0f}", f"{speed.of_ceiling:.0%}"
            costs = f"{speed.lowering:.1f} s", f"{speed.compiling:.1f} s", f"{speed.peak_memory / 2**20:,.0f} MiB"
            lines.append((name, *numbers, *costs))
            table.show(Table(lines))
            line.reached(len(speeds), len(configs))
    return speeds


def save_report(
    path: str | Path, speeds: Sequence[env.EnvSpeed], trained: Mapping[str, training.TrainSpeed], runs: Path
) -> None:
    """Write all that was measured as JSON; a relative path lies in the folder `runs`."""
    report: dict[str, Any] = {
        "jax": jax.__version__,
        "device": str(get_device_config()),
        "environment": [dataclasses.asdict(speed) for speed in speeds],
        "training": {name: dataclasses.asdict(speed) for name, speed in trained.items()},
    }
    file = runs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"Saved to {file.name if settings.SMOKE else file}.")


class _Growing:
    """A place in the cell for a table that is shown again with each row."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, table: Table) -> None:
        if self._handle is None:
            self._handle = display(table, display_id=True)
        else:
            self._handle.update(table)
