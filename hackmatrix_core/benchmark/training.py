"""How fast this machine trains, against the least time that any PPO of this size could take.

That floor is the matrix products alone: the network forward for each step of the rollout, forward and backward for each
minibatch of each epoch, on random numbers and on the same devices. Both are timed in turn in one process, because
machines are noisy and a ratio is not.
"""

import dataclasses
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from hackmatrix_core.benchmark import machine
from hackmatrix_core.game.vectorization.backend import compiler_options
from hackmatrix_core.training.config import OBSERVATION_SIZE, TrainConfig, devices_of_cores, return_free_memory
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.runner import make_agent
from hackmatrix_core.training.trainer import training_environment

MEMORY_SIZES = (256, 1024, 4096)


@dataclasses.dataclass(frozen=True)
class TrainSpeed:
    """What was measured; times in seconds, speeds medians of the repeats."""

    num_devices: int
    platform: str  # as JAX names it: cpu, gpu, tpu
    steps_per_second: float
    floor: float  # steps a second that the matrix products alone would allow
    of_floor: float  # the first as a share of the second, median of the ratios
    lowering: float
    compiling: float
    peak_memory: int  # bytes, the most that the process has held on the host


@dataclasses.dataclass(frozen=True)
class DeviceMemory:
    """Bytes of device memory that one compiled update takes, by XLA's own account."""

    num_envs: int
    state: int  # parameters, optimiser, environments: kept from update to update
    temporary: int  # rollout and minibatches


def measure(config: TrainConfig, repeats: int, *, one_device: bool = False) -> TrainSpeed:
    """Time updates of training and their floor in turn, on all devices (cores, on a CPU) or on one."""
    return machine.in_own_process(_measure, config, repeats, one_device)


def measure_second_start(config: TrainConfig) -> tuple[float, float]:
    """Seconds of lowering and of compiling in a process that finds the program in the compilation cache."""
    with tempfile.TemporaryDirectory() as cache:
        machine.in_own_process(_start, config, cache)
        return machine.in_own_process(_start, config, cache)


def measure_memory(config: TrainConfig, sizes: Sequence[int] = MEMORY_SIZES) -> Iterator[DeviceMemory]:
    """The device memory of an update with each number of environments, on one device."""
    for size in sizes:
        changed = dataclasses.replace(
            config, num_envs=size, total_timesteps=max(config.total_timesteps, size * config.num_steps)
        )
        yield machine.in_own_process(_memory, changed)


def _group(config: TrainConfig, *, one_device: bool = False) -> DeviceGroup:
    if not one_device:
        devices_of_cores()
    return DeviceGroup.of(make_agent(config, training_environment()))


def _compiled(group: DeviceGroup) -> tuple[Any, float, float]:
    """The compiled update, the seconds that it took to lower and to compile it."""
    template = jax.eval_shape(group.init())
    start = time.perf_counter()
    lowered = group.update(template)
    middle = time.perf_counter()
    return lowered.compile(), middle - start, time.perf_counter() - middle


def _measure(config: TrainConfig, repeats: int, one_device: bool) -> TrainSpeed:
    jax.config.update("jax_enable_compilation_cache", False)
    group = _group(config, one_device=one_device)
    update, lowering, compiling = _compiled(group)
    return_free_memory()
    runner, _ = jax.block_until_ready(update(group.init()()))
    peak = machine.peak_memory()
    floor, arguments = _floor(group)

    speeds, floors = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        runner, _ = jax.block_until_ready(update(runner))
        middle = time.perf_counter()
        jax.block_until_ready(floor(*arguments))
        speeds.append(config.batch_size / (middle - start))
        floors.append(config.batch_size / (time.perf_counter() - middle))
    return TrainSpeed(
        num_devices=len(group.devices),
        platform=group.devices[0].platform,
        steps_per_second=statistics.median(speeds),
        floor=statistics.median(floors),
        of_floor=statistics.median(speed / most for speed, most in zip(speeds, floors, strict=True)),
        lowering=lowering,
        compiling=compiling,
        peak_memory=peak,
    )


def _floor(group: DeviceGroup) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The compiled matrix products of one update, and what they are applied to."""
    agent, config, count = group.agent, group.agent.config, len(group.devices)
    envs = config.num_envs // count
    minibatch = envs * config.num_steps // config.num_minibatches

    @functools.partial(
        jax.shard_map,
        mesh=Mesh(np.array(group.devices), "device"),
        in_specs=(PartitionSpec(), PartitionSpec("device")),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    def products(params: Any, observations: jax.Array) -> Any:
        def forward(total: jax.Array, _: None) -> tuple[jax.Array, None]:
            # Each pass depends on the one before, so that none is optimised away.
            logits, values = agent.apply(params, observations[:envs] + 1e-9 * total)
            return jnp.sum(logits) + jnp.sum(values), None

        def learn(params: Any, _: None) -> tuple[Any, None]:
            def loss(params: Any) -> jax.Array:
                logits, values = agent.apply(params, observations)
                return jnp.mean(jnp.square(logits)) + jnp.mean(jnp.square(values))

            gradients = lax.pmean(jax.grad(loss)(params), "device")
            return jax.tree.map(lambda x, slope: x - 1e-6 * slope, params, gradients), None

        total, _ = lax.scan(forward, jnp.float32(0), length=config.num_steps)
        params, _ = lax.scan(learn, params, length=config.update_epochs * config.num_minibatches)
        return params, lax.pmean(total, "device")

    key = jax.random.key(0)
    observations = jax.random.bernoulli(key, 0.1, (minibatch * count, OBSERVATION_SIZE)).astype(jnp.float32)
    params = agent.network.init(key, observations[:1])
    compiled = jax.jit(products, compiler_options=compiler_options()).lower(params, observations).compile()
    arguments = jax.device_put((params, observations), compiled.input_shardings[0])
    jax.block_until_ready(compiled(*arguments))
    return compiled, arguments


def _start(config: TrainConfig, cache: str) -> tuple[float, float]:
    jax.config.update("jax_compilation_cache_dir", cache)
    _, lowering, compiling = _compiled(_group(config))
    return lowering, compiling


def _memory(config: TrainConfig) -> DeviceMemory:
    compiled, _, _ = _compiled(_group(config, one_device=True))
    sizes = compiled.memory_analysis()
    return DeviceMemory(config.num_envs, sizes.argument_size_in_bytes, sizes.temp_size_in_bytes)
