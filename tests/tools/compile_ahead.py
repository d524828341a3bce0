"""What programs are like on devices that are not at hand: XLA compiles for them and tells memory, code and kernels.

    python -m tests.tools.compile_ahead t4 v5e [--json FILE]

It needs no device for that, only its description, and the compilers: pip install -e '.[ahead-gpu,ahead-tpu]'.
Nothing runs, so there are no speeds: the ceilings are those that the device's memory bandwidth and the start of each
kernel set. docs/devices.md has a table of what it found.
"""

import argparse
import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hackmatrix_core import evaluation, game
from hackmatrix_core.agent.search import SearchPolicy
from hackmatrix_core.benchmark import machine
from hackmatrix_core.errors import UserError
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from hackmatrix_core.game.vectorization.backend import compiling_for
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.loading import load_policy
from hackmatrix_core.training.runner import RunnerState, make_agent
from hackmatrix_core.training.trainer import training_environment
from hackmatrix_core.viewing.tables import Table

_LAUNCH = 5e-6
"""Seconds to start a kernel on a GPU, about."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A device to compile for."""

    platform: str
    """As JAX names it."""
    preset: str
    bandwidth: float = 0.0
    """Bytes a second of one device's memory, by its data sheet."""
    count: int = 1
    topology: str = ""
    """Of TPUs."""
    gpu: str = ""
    """Of a GPU: fields of XLA's GpuTargetConfigProto that differ from `_ANY_GPU`."""


_ANY_GPU = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "fpus_per_core": 64,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


def _gpu(name: str, preset: str, capability: str, **fields: int | float) -> Target:
    major, minor = capability.split(".")
    lines = "\n".join(f"  {field}: {value}" for field, value in (_ANY_GPU | fields).items())
    text = (
        f"gpu_device_info {{\n{lines}\n  cuda_compute_capability {{ major: {major} minor: {minor} }}\n}}\n"
        f'platform_name: "CUDA"\ndnn_version_info {{ major: 9 minor: 8 }}\ndevice_description_str: "{name}"\n'
    )
    return Target("cuda", preset, float(fields["memory_bandwidth"]), gpu=text)


TARGETS = {
    "cpu": Target("cpu", "cpu"),
    "t4": _gpu(
        "Tesla T4",
        "t4",
        "7.5",
        core_count=40,
        memory_bandwidth=320_000_000_000,
        l2_cache_size=4 * 2**20,
        clock_rate_ghz=1.59,
        device_memory_size=15_843_721_216,
        shared_memory_per_core=65536,
        shared_memory_per_block_optin=65536,
        threads_per_core_limit=1024,
    ),
    "l4": _gpu(
        "NVIDIA L4",
        "gpu",
        "8.9",
        core_count=58,
        memory_bandwidth=300_000_000_000,
        l2_cache_size=48 * 2**20,
        clock_rate_ghz=2.04,
        device_memory_size=23_600_000_000,
        shared_memory_per_core=102400,
        shared_memory_per_block_optin=101376,
        threads_per_core_limit=1536,
        fpus_per_core=128,
    ),
    "a100": _gpu(
        "NVIDIA A100-SXM4-40GB",
        "gpu",
        "8.0",
        core_count=108,
        memory_bandwidth=1_555_000_000_000,
        l2_cache_size=40 * 2**20,
        clock_rate_ghz=1.41,
        device_memory_size=42_000_000_000,
        shared_memory_per_core=167936,
        shared_memory_per_block_optin=166912,
        threads_per_core_limit=2048,
    ),
    "h100": _gpu(
        "NVIDIA H100 80GB HBM3",
        "gpu",
        "9.0",
        core_count=132,
        memory_bandwidth=3_350_000_000_000,
        l2_cache_size=50 * 2**20,
        clock_rate_ghz=1.98,
        device_memory_size=84_900_000_000,
        shared_memory_per_core=233472,
        shared_memory_per_block_optin=232448,
        threads_per_core_limit=2048,
        fpus_per_core=128,
    ),
    "v5e": Target("tpu", "tpu", 819e9, topology="v5e:1x1x1"),
    "v5e-4": Target("tpu", "tpu", 819e9, 4, topology="v5e:2x2x1"),
}
PROGRAMS = ("step", "training", "evaluation", "search")
"""One step of all environments with mask and observation; one update of training; up to eight actions of the games of
an evaluation, which has 1,000; one move by a search in 128 games."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What XLA tells of a program; times in seconds, memory in bytes of one device unless it says otherwise."""

    target: str
    program: str
    num_envs: int  # over all devices
    lowering: float
    compiling: float
    host_memory: int  # the most that the process has held while it compiled
    arguments: int
    temporary: int
    code: int
    bytes_moved: float  # by one run, as XLA estimates it; loops without a known end count once
    kernels: int  # started by one run, loops without a known end left out
    open_loops: tuple[int, ...]  # kernels of one turn of each loop whose end depends on data

    @property
    def ceiling(self) -> float:
        """Runs a second that memory bandwidth and, on a GPU, the start of kernels allow; 0 where that is unknown."""
        target = TARGETS[self.target]
        launches = _LAUNCH * (self.kernels + sum(self.open_loops)) if target.gpu else 0.0
        least = launches + (self.bytes_moved / target.bandwidth if target.bandwidth else 0.0)
        return 1.0 / least if least else 0.0


def compile_ahead(targets: Sequence[str], programs: Sequence[str] = PROGRAMS) -> Iterator[Compiled]:
    """Compile programs for devices, each in a process of its own.

    Args:
        targets: names in `TARGETS`.
        programs: names in `PROGRAMS`.

    Yields:
        One `Compiled` for each of both, as soon as it is there.

    Raises:
        UserError: an unknown target, or the compiler for one is not installed.
    """
    if unknown := sorted(set(targets) - set(TARGETS)):
        raise UserError(f"{', '.join(unknown)} is no device to compile for: expected some of {', '.join(TARGETS)}")
    for target in targets:
        for program in programs:
            yield machine.in_own_process(_measure, target, program)


def table(rows: Sequence[Compiled]) -> Table:
    """The programs as a table."""
    head = (
        "for", "program", "envs", "lowering", "compiling", "host peak", "arguments", "temporary", "code", "moved",
        "kernels", "and in open loops, a turn", "ceiling",
    )  # fmt: skip
    lines = [
        (
            row.target,
            row.program,
            f"{row.num_envs:,}",
            f"{row.lowering:.1f} s",
            f"{row.compiling:.1f} s",
            *(
                f"{amount / 2**20:,.0f} MiB"
                for amount in (row.host_memory, row.arguments, row.temporary, row.code, row.bytes_moved)
            ),
            f"{row.kernels:,}",
            " + ".join(map(str, row.open_loops)) or "none",
            f"{row.ceiling:,.0f} /s" if row.ceiling else "",
        )
        for row in rows
    ]
    return Table([head, *lines])


def devices_of(target: Target) -> list[Any]:
    """The devices to compile for.

    Raises:
        UserError: the compiler is not installed, or does not know the device.
    """
    if target.platform == "cpu":
        return jax.devices("cpu")[:1]
    extra = "ahead-gpu" if target.gpu else "ahead-tpu"
    try:
        if target.gpu:
            described = topologies.get_topology_desc(platform="cuda", target_config=target.gpu, topology="1x1x1")
        else:
            bounds = {"chips_per_host_bounds": (1, 1, 1)} if target.count == 1 else {}
            described = topologies.get_topology_desc(platform="tpu", topology_name=target.topology, **bounds)
    except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:
        raise UserError(
            f"XLA cannot compile for {target.topology or 'NVIDIA GPUs'} here: {str(error).splitlines()[0]}. "
            f"Install its compiler: pip install -e '.[{extra}]'"
        ) from error
    return list(described.devices)


def _measure(name: str, program: str) -> Compiled:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)
    target = TARGETS[name]
    devices = devices_of(target)
    config = TrainConfig.preset(target.preset)
    lower = {"step": _step, "training": _training, "evaluation": _evaluation, "search": _search}[program]
    with compiling_for("gpu" if target.gpu else target.platform):
        compiled, lowering, compiling = machine.compiled(lower, devices, config, target.platform)
    sizes, costs = compiled.memory_analysis(), compiled.cost_analysis()
    kernels, open_loops = kernels_of(compiled.as_text())
    return Compiled(
        target=name,
        program=program,
        num_envs={"evaluation": _EVALUATED, "search": _SEARCHED}.get(program, config.num_envs),
        lowering=lowering,
        compiling=compiling,
        host_memory=machine.peak_memory(),
        arguments=sizes.argument_size_in_bytes,
        temporary=sizes.temp_size_in_bytes,
        code=sizes.generated_code_size_in_bytes,
        bytes_moved=float((costs or {}).get("bytes accessed", 0.0)),
        kernels=kernels,
        open_loops=open_loops,
    )


def _lower(function: Any, arguments: Any, devices: list[Any], platform: str) -> Any:
    """The function lowered for one of the devices, arguments given by their shapes."""
    sharding = NamedSharding(Mesh(np.array(devices[:1]), "device"), PartitionSpec())
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments)
    return jax.jit(function, out_shardings=sharding).trace(*placed).lower(lowering_platforms=(platform,))


def _step(devices: list[Any], config: TrainConfig, platform: str) -> Any:
    env = training_environment()
    params = env.default_params

    def step(states: Any, actions: jax.Array, keys: jax.Array) -> Any:
        masks = jax.vmap(env.get_action_mask)(states)
        return masks, jax.vmap(env.step, (0, 0, 0, None))(keys, states, actions, params)

    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), config.num_envs))
    _, states = jax.eval_shape(lambda keys: jax.vmap(env.reset, (0, None))(keys, params), keys)
    actions = jax.ShapeDtypeStruct((config.num_envs,), jnp.int32)
    return _lower(step, (states, actions, keys), devices, platform)


def _training(devices: list[Any], config: TrainConfig, platform: str) -> Any:
    group = DeviceGroup(make_agent(config, training_environment()), devices)

    def placed(part: Any, sharding: NamedSharding) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), part)

    template = RunnerState._make(map(placed, group.template, group.shardings))
    return group.update(template, (platform,))


_EVALUATED, _SEARCHED = 1000, 128


def _evaluation(devices: list[Any], config: TrainConfig, platform: str) -> Any:
    del config
    begin = functools.partial(evaluation.begin, count=1, num_games=_EVALUATED, undo_depth=DEFAULT_UNDO_DEPTH)
    games, table = jax.eval_shape(begin, jax.eval_shape(lambda: jax.random.key(0)))
    play = functools.partial(evaluation.play, (load_policy("pretrained"),), num_games=_EVALUATED)
    return _lower(play, (games, table), devices, platform)


def _search(devices: list[Any], config: TrainConfig, platform: str) -> Any:
    del config
    think = jax.vmap(SearchPolicy(load_policy("pretrained")))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), _SEARCHED))
    states = jax.eval_shape(jax.vmap(game.reset), keys)
    observations = jax.eval_shape(jax.vmap(game.observe), states)
    masks = jax.eval_shape(jax.vmap(game.get_valid_actions), states)
    return _lower(think, (states, observations, masks, keys), devices, platform)


_NO_KERNEL = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "while", "conditional", "call",
    "partition-id", "replica-id", "opt-barrier", "copy-done", "copy-start", "async-start", "async-done",
}  # fmt: skip


def kernels_of(program: str) -> tuple[int, tuple[int, ...]]:
    """How many kernels a compiled program starts, read from its text as XLA prints it.

    Returns:
        The kernels of one run, loops with a known number of turns multiplied out and those without left out; and for
        each of the latter the kernels of one turn.
    """
    computations: dict[str, list[str]] = {}
    entry, current = "", ""
    for line in program.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            current = head[2]
            computations[current] = []
            entry = current if head[1] else entry
        elif current and " = " in line:
            computations[current].append(re.sub(r"/\*.*?\*/", "", line))
    open_loops: list[int] = []

    def called(line: str, role: str) -> str:
        found = re.search(rf"{role}=%?([\w.\-]+)", line)
        return found[1] if found else ""

    def count(name: str) -> int:
        total = 0
        for line in computations.get(name, []):
            found = re.search(r" = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
            operation = found[1] if found else ""
            total += operation != "" and operation not in _NO_KERNEL
            if operation == "while":
                turn = count(called(line, "body")) + count(called(line, "condition"))
                if turns := re.search(r"known_trip_count\D+(\d+)", line):
                    total += turn * int(turns[1])
                else:
                    open_loops.append(turn)
            elif operation == "conditional":
                branches = re.search(r"branch_computations=\{([^}]*)\}", line)
                called_ones = (called(line, "true_computation"), called(line, "false_computation"))
                names = branches[1].split(",") if branches else called_ones
                total += max(count(branch.strip().lstrip("%")) for branch in names)
            elif operation == "call":
                total += count(called(line, "to_apply"))
        return total

    return count(entry), tuple(open_loops)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.compile_ahead", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="+", metavar="DEVICE", choices=TARGETS, help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was found to this file")
    options = parser.parse_args()
    rows = []
    for row in compile_ahead(options.targets):
        rows.append(row)
        print(f"{row.program} for {row.target}: compiled in {row.compiling:.0f} s", flush=True)
    print(f"\nJAX {jax.__version__}\n{table(rows)}")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
