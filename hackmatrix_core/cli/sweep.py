"""The command `hackmatrix sweep`."""

import argparse
from pathlib import Path

from hackmatrix_core.cli.arguments import at_least_one
from hackmatrix_core.cli.evaluate import check_evaluation
from hackmatrix_core.cli.train import (
    SIGNAL_CODES,
    add_config,
    add_run,
    changed_config,
    chosen_config,
    how_to_continue,
    new_run_dir,
)
from hackmatrix_core.errors import UsageError, UserError
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.sweep_plan import MEASURE, MEASURES


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    command.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of a config field or weights of a reward part, as in learning_rate=3e-4,1e-3; or a range to draw "
        "from, as in ent_coef=0.005..0.05 (log-uniform above 0); may be repeated: all combinations are tried",
    )
    command.add_argument("--draws", type=at_least_one, metavar="N", help="settings to draw from the ranges")
    command.add_argument("--seeds", type=at_least_one, metavar="N", help="agents of each setting (default: 1)")
    command.add_argument(
        "--by",
        choices=MEASURES,
        default=MEASURE,
        help=f"what decides which setting is best (default: {MEASURE})",
    )
    add_run(command)
    add_config(command)


def run(options: argparse.Namespace) -> int:
    """Train many agents side by side: seeds, and settings that are compared."""
    from hackmatrix_core.training.sweep import Sweep, stored_sweep
    from hackmatrix_core.viewing.waiting import Waiting

    devices_of_cores()
    check_evaluation(options.evaluate_games)
    if options.resume:
        if options.run_dir is None or options.preset is not None or any((options.vary, options.seeds, options.draws)):
            raise UsageError(
                "--resume needs --run-dir and takes the rest from there; leave out --preset, --vary, --draws, --seeds"
            )
        plan, run_dir = stored_sweep(options.run_dir), Path(options.run_dir)
        config = changed_config(TrainConfig.from_dict(plan.pop("config")), options)
    else:
        config = chosen_config(options, {})
        plan = {"vary": dict(map(_varied, options.vary)), "seeds": options.seeds or 1, "draws": options.draws}
        run_dir = Path(options.run_dir or new_run_dir())
    try:
        fits = options.minutes is not None and options.total_timesteps is None
        time = {"minutes": options.minutes, "fit": fits, "save_every": options.save_every}
        sweep = Sweep(config, run_dir=run_dir, resume=options.resume, **time, **plan)
    except ValueError as error:
        raise UsageError(error) from error
    print(f"{len(sweep.plan)} agents in {run_dir}")
    result = sweep.run()
    if result.stopped_by == "another run":
        raise UserError(f"another run has taken over {run_dir}, so this one ended")
    if result.stopped_by:
        how = "time is up" if result.stopped_by == "time" else "stopped and saved"
        print(f"{how}. {how_to_continue(run_dir, command='sweep')}")
    if result.stopped_by in (None, "time") and options.evaluate_games:
        print(f"playing {options.evaluate_games} games with each agent…", flush=True)
        with Waiting("playing") as line:
            result = result.evaluated(options.evaluate_games, config.seed, line.reached)
    for table in result.tables(options.by):
        table.print()
        print()
    try:
        result.save(options.by)
    except OSError as error:
        raise UserError(f"the results cannot be written to {run_dir}: {error.strerror}") from error
    for name in ("results.json", "results.txt", "curves.png", "agents"):
        print(f"{name.partition('.')[0]} {run_dir / name}")
    return SIGNAL_CODES.get(result.stopped_by or "", 0)


def _varied(text: str) -> tuple[str, str]:
    """The name and the values of a `--vary`."""
    name, equals, values = text.partition("=")
    if not equals:
        raise UsageError(f"--vary {text} is not NAME=VALUES, as in learning_rate=3e-4,1e-3")
    return name.replace("-", "_"), values
