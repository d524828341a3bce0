"""Benchmarks in a cell: rows appear as they are measured."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
from matplotlib.figure import Figure

from hackmatrix_core.benchmark import env, training
from hackmatrix_core.benchmark.machine import COSTS
from hackmatrix_core.notebook.settings import SMOKE, NotebookStop
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.tuning import get_device_config
from hackmatrix_core.viewing.figures import Picture
from hackmatrix_core.viewing.style import styled
from hackmatrix_core.viewing.tables import Table
from hackmatrix_core.viewing.waiting import Waiting

Measured = TypeVar("Measured")


def measure_env(sizes: Sequence[int], repeats: int) -> list[env.EnvSpeed]:
    """`benchmark.env.measure_env` with a table that grows."""
    if not sizes or not all(isinstance(number, int) and number > 0 for number in [*sizes, repeats]):
        raise NotebookStop(f"sizes is {sizes} and repeats {repeats}, expected whole numbers of at least 1")
    sizes, repeats = ([8], 1) if SMOKE else (sizes, repeats)
    return _shown("the game", env.measure_env(sizes, repeats), len(sizes), env.table)


def measure_training(configs: Mapping[str, TrainConfig], repeats: int) -> dict[str, training.TrainSpeed]:
    """`benchmark.training.measure` of several configs, with a table that grows; results by name."""
    if SMOKE:
        tiny = TrainConfig(num_envs=8, num_steps=8, hidden_dim=16, total_timesteps=64)
        configs, repeats = {next(iter(configs)): tiny}, 1
    speeds = ((name, training.measure(config, repeats)) for name, config in configs.items())
    return dict(_shown("training", speeds, len(configs), _training_table))


@styled
def plot_speeds(speeds: Sequence[env.EnvSpeed]) -> Figure:
    """Steps a second by the number of environments, as bars."""
    figure = Picture(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar([f"{s.num_envs:,}" for s in speeds], [s.steps_per_second / 1000 for s in speeds], width=0.5)
    axes.set(xlabel="environments side by side", ylabel="thousand steps a second")
    axes.grid(axis="y", alpha=0.3)
    return figure


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
    print(f"Saved to {file.name if SMOKE else file}.")


def _shown(
    what: str, results: Iterable[Measured], count: int, table: Callable[[Sequence[Measured]], Table]
) -> list[Measured]:
    """The results, in a table that is shown again with each of them."""
    from IPython.display import DisplayHandle

    done: list[Measured] = []
    place = DisplayHandle()
    with Waiting(f"measuring {what}", "compiling first, without the cache") as line:
        line.reached(0, count)
        for result in results:
            done.append(result)
            show = place.update if len(done) > 1 else place.display
            show(table(done))
            line.reached(len(done), count)
    return done


def _training_table(speeds: Sequence[tuple[str, training.TrainSpeed]]) -> Table:
    rows = [
        (name, f"{speed.steps_per_second:,.0f}", f"{speed.ceiling:,.0f}", f"{speed.of_ceiling:.0%}", *speed.costs())
        for name, speed in speeds
    ]
    return Table([("preset", "steps/s", "ceiling", "share of it", *COSTS), *rows])
