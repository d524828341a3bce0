"""The command `hackmatrix train`."""

import argparse
import dataclasses
import itertools
import json
import os
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from hackmatrix_core.cli.arguments import add_checkpoint, at_least_one, count, integer, minutes, path, reward, seconds
from hackmatrix_core.cli.evaluate import check_evaluation, evaluate_run
from hackmatrix_core.cli.watch import write_replay
from hackmatrix_core.errors import UsageError, UserError
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.config import NETWORK, PRESETS, SIZES, TrainConfig
from hackmatrix_core.training.tuning import check_memory, estimate_memory, get_device_config, preset_for_device

SIGNAL_CODES = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    add_run(command)
    command.add_argument(
        "--rewind",
        type=count,
        metavar="N",
        help="with --resume: go on from the checkpoint of update N; what is newer goes into the folder after-N in DIR",
    )
    command.add_argument(
        "--from",
        dest="start_from",
        type=path,
        metavar="RUN",
        help="start with the network of this run, of pretrained or of pretrained-points; its sizes are the default",
    )
    add_checkpoint(command, "--from RUN")
    command.add_argument(
        "--seeds",
        type=at_least_one,
        default=1,
        metavar="N",
        help="train so many agents side by side, with seeds from --seed on: short for hackmatrix sweep --seeds N",
    )
    command.add_argument("--tensorboard", action="store_true", help="also write event files for TensorBoard")
    command.add_argument("--wandb", action="store_true", help="also log to Weights & Biases")
    processes = command.add_argument_group("several machines (see docs/devices.md)")
    processes.add_argument(
        "--distributed", action="store_true", help="run as one process of several, on as many machines"
    )
    processes.add_argument("--coordinator", metavar="HOST:PORT", help="the first process (default: the cluster's)")
    processes.add_argument("--num-processes", type=at_least_one, metavar="N", help="default: the cluster's")
    processes.add_argument("--process-id", type=count, metavar="I", help="default: the cluster's")
    add_config(command)


def add_run(command: argparse.ArgumentParser) -> None:
    """Add what a run and a sweep have in common."""
    command.add_argument(
        "--preset", choices=["auto", *PRESETS], help="preset to start from (default: auto, by the device)"
    )
    command.add_argument(
        "--run-dir", type=path, metavar="DIR", help="where everything is saved (default: runs/DATE-TIME)"
    )
    command.add_argument("--resume", action="store_true", help="continue what is in --run-dir")
    command.add_argument(
        "--minutes",
        type=minutes,
        metavar="M",
        help="train this long: without --total-timesteps as many steps as fit, else at most so many",
    )
    command.add_argument(
        "--save-every", type=seconds, default=60.0, metavar="S", help="seconds between checkpoints (default: 60)"
    )
    command.add_argument(
        "--evaluate-games",
        type=count,
        default=200,
        metavar="N",
        help="games in the evaluation at the end (default: 200, 0 for none)",
    )


def add_config(command: argparse.ArgumentParser) -> None:
    """Add an option for each field of the config."""
    fields = command.add_argument_group("config (defaults are those of the preset)")
    fields.add_argument(
        "--reward",
        dest="reward_weights",
        type=reward,
        action="append",
        metavar="PART=WEIGHT",
        help="weight of a part of the reward (R10), as in kills=3; may be repeated (default: 1 for each)",
    )
    fields.add_argument(
        "--network",
        metavar="MODULE:CLASS",
        help="a network of your own (docs/own_parts.md), as in my_module:MyNetwork or 'my_module:MyNetwork(width=64)'",
    )
    for field in dataclasses.fields(TrainConfig):
        if field.name in ("reward_weights", "network"):
            continue
        is_whole = field.type is int
        default = field.default if is_whole else f"{field.default:g}"
        fields.add_argument(
            "--" + field.name.replace("_", "-"),
            type=integer if is_whole else float,
            metavar="N" if is_whole else "X",
            help=f"{field.metadata['help']} (preset plan: {default})",
        )


def run(options: argparse.Namespace) -> int:
    """Train an agent, save it, and evaluate it against the baselines."""
    from hackmatrix_core.training.devices import broadcast_from_first
    from hackmatrix_core.training.loading import checkpoint_of, stored_params
    from hackmatrix_core.training.progress import Callback, default_display
    from hackmatrix_core.training.trackers import TensorBoard, WeightsAndBiases
    from hackmatrix_core.training.trainer import Trainer

    given = [name for name in ("coordinator", "num_processes", "process_id") if getattr(options, name) is not None]
    if options.distributed:
        _join_processes(options)
    elif given:
        raise UsageError(f"--{given[0].replace('_', '-')} is for several processes: add --distributed, or leave it out")
    if options.rewind is not None and not options.resume:
        raise UsageError("--rewind goes back in a run that is resumed: add --resume, or leave it out")
    if options.checkpoint != "last" and not options.start_from:
        raise UsageError("--checkpoint is for --from RUN. To go on from an earlier one: --resume --rewind N")
    if options.seeds > 1:
        return _train_seeds(options)
    devices_of_cores()
    is_first = jax.process_index() == 0
    check_evaluation(options.evaluate_games)
    # Only the first process has the run that may be resumed, and it chooses for its device.
    start_from: Any = None
    about: dict[str, Any] = {}
    if options.start_from and is_first:
        start_from, about = stored_params(checkpoint_of(options.start_from, options.checkpoint))
    chosen = chosen_config(options, about).to_dict() if is_first else {}
    config = TrainConfig.from_dict(json.loads(broadcast_from_first(json.dumps(chosen))))
    run_dir = Path(options.run_dir or broadcast_from_first(str(new_run_dir()) if is_first else ""))
    is_update: list[bool] = []
    callbacks: list[Callback] = [default_display(), lambda progress: is_update.append(progress.is_new)]
    if options.tensorboard and is_first:
        callbacks.append(TensorBoard(run_dir))
    if options.wandb and is_first:
        callbacks.append(WeightsAndBiases(run_dir, config))
    fits = options.minutes is not None and options.total_timesteps is None
    trainer = Trainer(
        config,
        run_dir,
        callbacks=callbacks,
        resume=options.resume,
        minutes=options.minutes,
        fit=fits,
        save_every=options.save_every,
        start_from=start_from,
        rewind=options.rewind,
    )
    if is_first:
        print(f"run directory {run_dir}" + ("" if options.rewind is None else f", from update {options.rewind} on"))
    result = trainer.run()
    if result.saved_in != trainer.run_dir:
        run_dir = result.saved_in
        print(f"the run is in {run_dir}")
    stopped_by = result.stopped_by
    if not is_first:
        return SIGNAL_CODES.get(stopped_by or "", 0)
    if stopped_by == "another run":
        raise UserError(f"another run has taken over {trainer.run_dir}, so this one ended. It is kept in {run_dir}")
    if stopped_by:
        is_trained = int(result.runner.update) > 0
        how = "time is up" if stopped_by == "time" else "stopped and saved" if is_trained else "nothing is trained yet"
        # The speed, and with it the length of a run that fits into its minutes, is known after two updates.
        print(f"{how}. {how_to_continue(run_dir, options.minutes if fits and sum(is_update) < 2 else None)}")
        if stopped_by != "time":
            return SIGNAL_CODES.get(stopped_by, 0)  # 0 where another process was told to stop
    if options.evaluate_games:
        trained = _better(run_dir, options.evaluate_games, config.seed)
        evaluate_run(trained, options.evaluate_games, config.seed)
        try:
            write_replay(trained, config.seed, str(run_dir / "replay.html"))
        except UsageError as error:
            warnings.warn(str(error).removeprefix("--out "), RuntimeWarning, stacklevel=2)
    for name in ("curves.png", "metrics.jsonl", "checkpoints"):
        print(f"{name.partition('.')[0]} {run_dir / name}")
    return 0


def _better(run_dir: Path, games: int, seed: int) -> str | os.PathLike:
    """The run, or its best checkpoint in training where games show that it is better than the last one."""
    from hackmatrix_core.training.loading import checkpoint_of
    from hackmatrix_core.training.selection import better, rival
    from hackmatrix_core.viewing.waiting import Waiting

    update = rival(run_dir)
    if update is None:
        return run_dir
    print(f"training was notably better at update {update}: playing {games} games each with that and the last one…")
    with Waiting("playing") as line:
        checkpoint, why = better(run_dir, update, jax.random.key(seed), games, line.reached)
    print(why)
    return checkpoint_of(run_dir, checkpoint)


def _train_seeds(options: argparse.Namespace) -> int:
    """What `hackmatrix sweep` does, with options of this command."""
    from hackmatrix_core.cli import sweep
    from hackmatrix_core.training.sweep_plan import MEASURE

    for name in ("resume", "start_from", "tensorboard", "wandb", "distributed"):
        if getattr(options, name):
            option = "--from" if name == "start_from" else f"--{name}"
            raise UsageError(f"{option} is for a single agent: leave out --seeds, or see hackmatrix sweep --help")
    return sweep.run(argparse.Namespace(**vars(options) | {"vary": [], "draws": None, "by": MEASURE}))


def how_to_continue(run_dir: Path, minutes: float | None = None, command: str = "train") -> str:
    """A sentence with the command that goes on."""
    installed = Path(sys.executable).with_name("hackmatrix")
    is_found = shutil.which("hackmatrix") or not installed.exists()
    program = "hackmatrix" if is_found else os.path.relpath(installed)
    end = "" if minutes is None else f" --minutes {minutes:g}"
    return f"Continue with: {shlex.quote(program)} {command} --resume --run-dir {shlex.quote(str(run_dir))}{end}"


def new_run_dir() -> Path:
    """A directory that no other run has, even one that starts in the same second."""
    name = time.strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        run_dir = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            run_dir.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{run_dir} cannot be made: {error.strerror}. Choose another with --run-dir") from error
        return run_dir
    raise AssertionError


def chosen_config(options: argparse.Namespace, about: Mapping[str, Any]) -> TrainConfig:
    """The config of the stored run when it is resumed, else of the preset; with the given fields changed.

    Args:
        options: of the command line.
        about: the description of the network to start from, whose sizes are then the default; empty for none.
    """
    changes = {name: about["config"][name] for name in NETWORK if name in about.get("config", {})}
    changes |= _given(options)
    sizes = [f"--{name.replace('_', '-')}" for name in SIZES if getattr(options, name) is not None]
    if changes.get("network") and sizes:
        raise UsageError(f"{sizes[0]} is for the package's network, not for {changes['network']}: leave it out")
    if options.resume:
        return changed_config(_stored_config(options), options)
    try:
        device = get_device_config()
        if options.preset in (None, "auto"):
            config = preset_for_device(device, **changes)
        else:
            config = TrainConfig.preset(options.preset, **changes)
        check_memory(f"num_envs is {config.num_envs}, which with the other sizes", estimate_memory(config))
        return config
    except ValueError as error:
        raise UsageError(error) from error


def changed_config(stored: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    """The config of a stored run or sweep, with the fields that are given."""
    try:
        return dataclasses.replace(stored, **_given(options))
    except ValueError as error:
        raise UsageError(error) from error


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of the config that the command line has."""
    given = {f.name: value for f in dataclasses.fields(TrainConfig) if (value := getattr(options, f.name)) is not None}
    return given | ({"reward_weights": dict(given["reward_weights"])} if "reward_weights" in given else {})


def _stored_config(options: argparse.Namespace) -> TrainConfig:
    if options.run_dir is None or options.preset is not None or options.start_from is not None:
        raise UsageError("--resume needs --run-dir and takes the rest from there; leave out --preset and --from")
    from hackmatrix_core.training.checkpoints import Checkpoints
    from hackmatrix_core.training.lock import check_free

    run_dir = Path(options.run_dir)
    check_free(run_dir)
    checkpoints = Checkpoints(run_dir / "checkpoints") if (run_dir / "checkpoints").is_dir() else None
    if checkpoints is None or not checkpoints.updates:
        raise UsageError(f"--run-dir {run_dir} holds no checkpoint to resume. Leave out --resume to start a run there")
    if options.rewind is not None:
        checkpoints.after(options.rewind)
    config = checkpoints.stored_config(options.rewind)
    if config is None:
        raise UsageError(f"all checkpoints in --run-dir {run_dir} are damaged. Choose another directory for a new run")
    return config


def _join_processes(options: argparse.Namespace) -> None:
    """Make this process one of a run on several machines."""
    try:
        jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes did not find each other: {error}. Outside a TPU pod, Slurm or MPI, pass --coordinator "
            "HOST:PORT, --num-processes and --process-id"
        ) from error
