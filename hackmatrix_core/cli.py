"""The command `hackmatrix`: train, evaluate, watch, play, benchmark, doctor.

Exit codes: 0 done, 1 the task failed, 2 wrong arguments, 130 and 143 stopped by Ctrl-C and SIGTERM (a training run has
saved by then and can be resumed).

The learning side takes seconds to import, so each command imports what it needs itself.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from hackmatrix_core.errors import UsageError, UserError
from hackmatrix_core.training.config import (
    GIB,
    MAX_SEED,
    PRESETS,
    TrainConfig,
    devices_of_cores,
    estimate_memory,
    get_device_config,
    keep_compiled_programs,
    preset_for_device,
)

_SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143}
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    warnings.showwarning = _show_warning
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        keep_compiled_programs()
        return options.command(options)
    except UserError as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def train(options: argparse.Namespace) -> int:
    """`hackmatrix train`: train, save, and evaluate against the baselines."""
    from hackmatrix_core.training.devices import told_by_first
    from hackmatrix_core.training.monitoring import default_display
    from hackmatrix_core.training.trackers import TensorBoard, WeightsAndBiases
    from hackmatrix_core.training.trainer import Trainer

    if options.distributed:
        _join_processes(options)
    devices_of_cores()
    run_dir = Path(options.run_dir or time.strftime("runs/%Y%m%d-%H%M%S"))
    is_first = jax.process_index() == 0
    # The first process alone has the run that may be resumed, and chooses for its device.
    chosen = _train_config(options, run_dir).to_dict() if is_first else {}
    config = TrainConfig.from_dict(json.loads(told_by_first(json.dumps(chosen))))
    callbacks = [default_display()]
    if options.tensorboard and is_first:
        callbacks.append(TensorBoard(run_dir))
    if options.wandb and is_first:
        callbacks.append(WeightsAndBiases(run_dir, config))
    trainer = Trainer(config, run_dir, callbacks=callbacks, resume=options.resume, minutes=options.minutes)
    if is_first:
        print(f"run directory {run_dir}")
    result = trainer.run()
    if not is_first:
        return _SIGNAL_CODES.get(result.stopped_by or "", 0)
    if result.stopped_by in _SIGNAL_CODES:
        print(f"stopped and saved. Go on with: hackmatrix train --resume --run-dir {run_dir}")
        return _SIGNAL_CODES[result.stopped_by]
    if result.stopped_by == "time":
        print(f"time is up. Go on with: hackmatrix train --resume --run-dir {run_dir}")
    if options.evaluate_games:
        _evaluate(run_dir, options.evaluate_games, config.seed)
        _write_replay(str(run_dir), config.seed, str(run_dir / "replay.html"))
    for name in ("curves.png", "metrics.jsonl", "checkpoints"):
        print(f"{name.partition('.')[0]} {run_dir / name}")
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """`hackmatrix evaluate`: a table of a run's policy, sampled and argmax, against the baselines."""
    _evaluate(Path(options.run), options.games, options.seed)
    return 0


def watch(options: argparse.Namespace) -> int:
    """`hackmatrix watch`: record a game of an agent and write it as a page that plays it in any browser."""
    _write_replay(options.run, options.seed, options.out, argmax=options.argmax)
    return 0


def play(options: argparse.Namespace) -> int:
    """`hackmatrix play`: play the game yourself in this terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("play needs a terminal, and the input or the output is none. Start it in a terminal window")
    from hackmatrix_core.playing import terminal
    from hackmatrix_core.playing.session import PlayError

    try:
        return terminal.play(options.seed, options.scenario)
    except PlayError as error:
        raise UsageError(error) from error


def benchmark(options: argparse.Namespace) -> int:
    """`hackmatrix benchmark`: how fast this machine steps the environment (env) or trains (train)."""
    return _benchmark_env(options) if options.what == "env" else _benchmark_train(options)


def _benchmark_env(options: argparse.Namespace) -> int:
    from hackmatrix_core.benchmark import env

    rows = []
    for row in env.measure_env(options.num_envs or env.SIZES, options.repeats):
        rows.append(row)
        print(f"{row.num_envs:,} environments: {row.steps_per_second:,.0f} steps/s", flush=True)
    print(f"\n{rows[0].num_devices} × {rows[0].platform}, medians of {options.repeats}\n{env.table(rows)}")
    return 0


def _benchmark_train(options: argparse.Namespace) -> int:
    from hackmatrix_core.benchmark import training

    try:
        config = TrainConfig(num_envs=(options.num_envs or [TrainConfig().num_envs])[0])
    except ValueError as error:
        raise UsageError(error) from error
    print(f"{config.num_envs} environments × {config.num_steps} steps, preset plan, medians of {options.repeats}")
    for one_device in (False, True):
        row = training.measure(config, options.repeats, one_device=one_device)
        print(
            f"{row.num_devices} × {row.platform}: {row.steps_per_second:,.0f} steps/s, {row.of_floor:.2f} of the "
            f"{row.floor:,.0f} that the matrix products alone allow; lowering {row.lowering:.1f} s, compiling "
            f"{row.compiling:.1f} s, peak memory {row.peak_memory / 2**20:,.0f} MiB",
            flush=True,
        )
        if row.num_devices == 1:
            break
    lowering, compiling = training.measure_second_start(config)
    print(f"with the compilation cache: lowering {lowering:.1f} s, compiling {compiling:.1f} s", flush=True)
    for size in training.measure_memory(config, options.num_envs or training.MEMORY_SIZES):
        state, temporary = (amount / 2**20 for amount in (size.state, size.temporary))
        print(
            f"device memory of {size.num_envs:,}: {state:,.0f} MiB kept, {temporary:,.0f} MiB in an update", flush=True
        )
    return 0


def doctor(options: argparse.Namespace) -> int:
    """`hackmatrix doctor`: versions, devices, and the config that would be chosen."""
    print(f"python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        print(f"{package} {importlib.metadata.version(package)}")
    devices_of_cores()
    device = get_device_config()
    print(f"preset for this device: {device.preset}")
    config = preset_for_device(device)
    print(f"of {device.memory / GIB:.1f} GiB, {estimate_memory(config) / GIB:.2f} GiB would be used; half is the limit")
    product = jax.numpy.ones((256, 256), jax.numpy.float32) @ jax.numpy.ones((256, 256), jax.numpy.float32)
    if float(product.sum()) != 256.0**3:
        raise UserError("a matrix product on the device gave a wrong result")
    print("a matrix product on the device: right")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hackmatrix", description="Train agents that play HackMatrix, and see how they do."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("train", help="train an agent", description=_purpose(train))
    command.set_defaults(command=train)
    command.add_argument(
        "--preset", choices=["auto", *PRESETS], help="where the config starts from (default: auto, by the device)"
    )
    command.add_argument("--run-dir", metavar="DIR", help="where everything is saved (default: runs/DATE-TIME)")
    command.add_argument("--resume", action="store_true", help="go on with the run in --run-dir")
    command.add_argument("--minutes", type=_positive, metavar="M", help="stop after training this long")
    command.add_argument(
        "--evaluate-games",
        type=_count,
        default=200,
        metavar="N",
        help="games of the evaluation at the end (default: 200, 0 for none)",
    )
    command.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    command.add_argument("--wandb", action="store_true", help="log to Weights & Biases, too")
    processes = command.add_argument_group("several machines (see the README)")
    processes.add_argument("--distributed", action="store_true", help="be one process of a run on several machines")
    processes.add_argument("--coordinator", metavar="HOST:PORT", help="the first process (default: of the cluster)")
    processes.add_argument("--num-processes", type=_at_least_one, metavar="N", help="default: of the cluster")
    processes.add_argument("--process-id", type=_count, metavar="I", help="default: of the cluster")
    fields = command.add_argument_group("config (defaults are those of the preset)")
    for field in dataclasses.fields(TrainConfig):
        flag = "--" + field.name.replace("_", "-")
        fields.add_argument(
            flag,
            dest=field.name,
            type=field.type,
            metavar="N" if field.type is int else "X",
            help=f"{field.metadata['help']} (plan: {field.default:g})"
            if field.type is float
            else f"{field.metadata['help']} (plan: {field.default})",
        )

    command = commands.add_parser("evaluate", help="play games with a trained agent", description=_purpose(evaluate))
    command.set_defaults(command=evaluate)
    command.add_argument("run", metavar="RUN", help="a run directory or a checkpoint in it")
    command.add_argument("--games", type=_count, default=1000, metavar="N", help="games of each policy (default: 1000)")
    command.add_argument("--seed", type=_seed, default=0, metavar="N", help="decides the games (default: 0)")

    command = commands.add_parser("watch", help="see a game of an agent", description=_purpose(watch))
    command.set_defaults(command=watch)
    command.add_argument("run", metavar="RUN", help="a run directory, a checkpoint in it, random or greedy")
    command.add_argument("--seed", type=_seed, default=0, metavar="N", help="decides the game (default: 0)")
    command.add_argument("--argmax", action="store_true", help="take the likeliest action instead of a sampled one")
    command.add_argument("--out", default="replay.html", metavar="FILE", help="the page (default: replay.html)")

    command = commands.add_parser("play", help="play the game yourself in a terminal", description=_purpose(play))
    command.set_defaults(command=play)
    command.add_argument("--seed", type=_seed, metavar="N", help="decides the game (default: at random)")
    command.add_argument("--scenario", metavar="FILE", help="start from the state in this file (JSON, R12)")

    command = commands.add_parser(
        "benchmark", help="measure the speed of this machine", description=_purpose(benchmark)
    )
    command.set_defaults(command=benchmark)
    command.add_argument("what", choices=["env", "train"], help="env: random valid actions; train: updates of PPO")
    command.add_argument(
        "--num-envs",
        type=_at_least_one,
        nargs="+",
        metavar="N",
        help="numbers of environments (default: 64 to 8,192, 256 to train with)",
    )
    command.add_argument(
        "--repeats", type=_at_least_one, default=5, metavar="N", help="timed runs; the median counts (default: 5)"
    )

    command = commands.add_parser(
        "doctor", help="show versions, devices and what would be chosen", description=_purpose(doctor)
    )
    command.set_defaults(command=doctor)
    return parser


def _purpose(command: Callable[[argparse.Namespace], int]) -> str:
    """What a command does, as its docstring says it."""
    return (command.__doc__ or "").partition(": ")[2]


def _train_config(options: argparse.Namespace, run_dir: Path) -> TrainConfig:
    """The config of the stored run when it is resumed, else of the preset; with the given fields changed."""
    changes = {
        f.name: value for f in dataclasses.fields(TrainConfig) if (value := getattr(options, f.name)) is not None
    }
    try:
        if options.resume:
            return dataclasses.replace(_stored_config(options, run_dir), **changes)
        device = get_device_config()
        if options.preset in (None, "auto"):
            return preset_for_device(device, **changes)
        return TrainConfig.preset(options.preset, **changes)
    except ValueError as error:
        raise UsageError(error) from error


def _stored_config(options: argparse.Namespace, run_dir: Path) -> TrainConfig:
    if options.run_dir is None or options.preset is not None:
        raise UsageError("--resume needs --run-dir and takes the config from there, without --preset")
    config = None
    if (run_dir / "checkpoints").is_dir():
        from hackmatrix_core.training.checkpointing import Checkpoints

        checkpoints = Checkpoints(run_dir / "checkpoints")
        config = checkpoints.stored_config()
        checkpoints.close()
    if config is None:
        raise UsageError(f"--run-dir {run_dir} holds no checkpoint to resume. Leave --resume out to start a run there")
    return config


def _evaluate(run_dir: Path, games: int, seed: int) -> None:
    """Play with the run's policy and the baselines, print the table and write it beside the run."""
    from hackmatrix_core import evaluation
    from hackmatrix_core.agent import policy

    policies = {
        "trained, sampled": policy.load_policy(run_dir),
        "trained, argmax": policy.load_policy(run_dir, greedy=True),
        **policy.BASELINES,
    }
    print(f"playing {games} games with each policy…", flush=True)
    results = evaluation.compare(policies, jax.random.key(seed), games)
    print(evaluation.table(results))
    print(f"\nwhat the trained agent uses, sampled\n{evaluation.usage_table(results['trained, sampled'])}\n")
    target = run_dir / "evaluation.json"
    target.write_text(evaluation.to_json(results))
    print(f"evaluation {target}")


def _write_replay(run: str, seed: int, out: str, *, argmax: bool = False) -> None:
    """Record a game of the run's policy and write it as a page."""
    from hackmatrix_core.agent import policy
    from hackmatrix_core.viewing import recording
    from hackmatrix_core.viewing.replay import replay

    episode = recording.record(policy.load_policy(run, greedy=argmax), jax.random.key(seed))
    try:
        target = replay(episode, f"{run}, seed {seed}").save(out)
    except OSError as error:
        raise UsageError(f"--out {out} can not be written: {error.strerror}") from error
    print(f"{len(episode)} actions, final stage {episode.final_stage}, return {episode.total_reward:+.2f}")
    print(f"replay {target}")


def _join_processes(options: argparse.Namespace) -> None:
    """Make this process one of a run on several machines."""
    try:
        jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes did not find each other: {error}. Outside of a TPU pod, Slurm or MPI give --coordinator "
            "HOST:PORT, --num-processes and --process-id"
        ) from error


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0 or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _seed(text: str) -> int:
    if _count(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text} is above {MAX_SEED}")
    return int(text)


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


def _fail(message: object, code: int) -> int:
    print(f"hackmatrix: {message}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"\nwarning: {message}", file=sys.stderr)
