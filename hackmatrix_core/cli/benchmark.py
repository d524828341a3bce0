"""The command `hackmatrix benchmark`."""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hackmatrix_core.cli.arguments import at_least_one, path
from hackmatrix_core.errors import UsageError, UserError
from hackmatrix_core.training.config import PRESETS, TrainConfig


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    command.add_argument(
        "what",
        choices=["env", "train", "search", "sweep"],
        help="env: random valid actions; train: updates of PPO; search: moves of the pretrained agent with a search; "
        "sweep: updates of many agents side by side",
    )
    command.add_argument(
        "--num-envs",
        type=at_least_one,
        nargs="+",
        metavar="N",
        help="numbers of environments (default: 64 to 8,192 for env, 1 and 128 for search, else the preset's)",
    )
    command.add_argument(
        "--presets", choices=PRESETS, nargs="+", metavar="NAME", help="for train (default: plan cpu) and sweep (cpu)"
    )
    command.add_argument("--agents", type=at_least_one, default=8, metavar="N", help="of a sweep (default: 8)")
    command.add_argument(
        "--simulations", type=at_least_one, default=32, metavar="N", help="of each search (default: 32)"
    )
    command.add_argument(
        "--repeats", type=at_least_one, default=5, metavar="N", help="timed runs; the median counts (default: 5)"
    )
    command.add_argument("--json", type=path, metavar="FILE", help="also write what was measured to this file")


def run(options: argparse.Namespace) -> int:
    """Measure how fast this machine steps the environment, trains or searches."""
    benchmarks = {
        "env": _benchmark_env,
        "train": _benchmark_train,
        "search": _benchmark_search,
        "sweep": _benchmark_sweep,
    }
    try:
        with open(options.json or os.devnull, "a", encoding="utf-8"):  # before minutes of measuring
            pass
    except OSError as error:
        raise UsageError(f"{options.json} cannot be written: {error.strerror}") from error
    rows = benchmarks[options.what](options)
    if options.json:
        text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2) + "\n"
        try:
            Path(options.json).write_text(text, encoding="utf-8")
        except OSError as error:
            print(text)
            raise UserError(f"{options.json} cannot be written: {error.strerror}. It stands above instead") from error
    return 0


def _benchmark_env(options: argparse.Namespace) -> Sequence[Any]:
    from hackmatrix_core.benchmark import env

    rows = []
    for row in env.measure_env(options.num_envs or env.SIZES, options.repeats):
        rows.append(row)
        print(f"{row.num_envs:,} environments: {row.steps_per_second:,.0f} steps/s", flush=True)
    print(f"\n{rows[0].num_devices} × {rows[0].platform}, medians of {options.repeats}")
    env.table(rows).print()
    return rows


def _benchmark_train(options: argparse.Namespace) -> Sequence[Any]:
    from hackmatrix_core.benchmark import training

    rows: list[Any] = []
    for name, config in _configs(options, ("plan", "cpu")):
        print(f"preset {name}: {config.num_envs} environments × {config.num_steps} steps, medians of {options.repeats}")
        for one_device in (False, True):
            row = training.measure(config, options.repeats, one_device=one_device)
            print(
                f"{row.num_devices} × {row.platform}: {row.steps_per_second:,.0f} steps/s, {row.of_ceiling:.2f} of the "
                f"{row.ceiling:,.0f} that the matrix products alone allow; lowering {row.lowering:.1f} s, compiling "
                f"{row.compiling:.1f} s, peak memory {row.peak_memory / 2**20:,.0f} MiB; device memory "
                f"{row.state_memory / 2**20:,.0f} MiB kept, {row.temporary_memory / 2**20:,.0f} MiB more in an update",
                flush=True,
            )
            rows.append(row)
            if row.num_devices == 1:
                break
        lowering, compiling = training.measure_second_start(config)
        print(f"with the compilation cache: lowering {lowering:.1f} s, compiling {compiling:.1f} s", flush=True)
    return rows


def _configs(options: argparse.Namespace, presets: Sequence[str]) -> list[tuple[str, TrainConfig]]:
    """The presets that are asked for, in the sizes that are asked for."""
    changes = [{"num_envs": size} for size in options.num_envs or ()] or [{}]
    try:
        return [(name, TrainConfig.preset(name, **change)) for name in options.presets or presets for change in changes]
    except ValueError as error:
        raise UsageError(error) from error


def _benchmark_sweep(options: argparse.Namespace) -> Sequence[Any]:
    from hackmatrix_core.benchmark import sweep

    rows: list[Any] = []
    for name, config in _configs(options, ("cpu",)):
        print(f"preset {name}: {config.num_envs} environments × {config.num_steps} steps, medians of {options.repeats}")
        speeds = sweep.measure(config, options.agents, options.repeats)
        sweep.table(speeds).print()
        rows += speeds
    return rows


def _benchmark_search(options: argparse.Namespace) -> Sequence[Any]:
    from hackmatrix_core.agent.policy import NetworkPolicy
    from hackmatrix_core.benchmark import search
    from hackmatrix_core.training.loading import load_policy

    policy, rows = cast(NetworkPolicy, load_policy("pretrained")), []
    for row in search.measure_search(policy, options.simulations, options.num_envs or search.SIZES, options.repeats):
        rows.append(row)
        print(f"{row.num_games:,} games: {1000 * row.move:,.0f} ms a move", flush=True)
    print(f"\none {rows[0].platform} device, medians of {options.repeats}")
    search.table(rows).print()
    return rows
