"""How fast this machine trains, against the most that any PPO of this size could do.

That ceiling is the network's matrix products alone: forward for each step of the rollout, forward and backward for each
minibatch of each epoch, on random numbers and on the same devices. Both are timed in turn in one process, because
machines are noisy and a ratio is not.
"""

import dataclasses
import functools
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from hackmatrix_core.benchmark import machine
from hackmatrix_core.game.observation import OBSERVATION_SIZE
from hackmatrix_core.game.state import NUM_CELLS
from hackmatrix_core.game.vectorization.backend import compiler_options, devices_of_cores
from hackmatrix_core.training.compilation import return_free_memory
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.runner import make_agent
from hackmatrix_core.training.trainer import training_environment
from hackmatrix_core.training.tuning import check_memory, estimate_memory

_ENCODER = "BoardEncoder_0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpeed(machine.Measurement):
    """What was measured; speeds are medians of the repeats."""

    num_envs: int
    num_steps: int  # of each environment in an update
    steps_per_second: float
    ceiling: float  # steps a second that the matrix products alone would allow
    of_ceiling: float  # the first as a share of the second, median of the ratios
    state_memory: int  # bytes of one device, by XLA's own account: parameters, optimiser, environments
    temporary_memory: int  # the same for what an update adds: rollout and minibatches


def measure(config: TrainConfig, repeats: int, *, one_device: bool = False) -> TrainSpeed:
    """Time updates of training and their ceiling in turn, on all devices (cores, on a CPU) or on one."""
    return machine.in_own_process(_measure, config, repeats, one_device)


def measure_second_start(config: TrainConfig) -> tuple[float, float]:
    """Seconds of lowering and of compiling in a process that finds the program in the compilation cache."""
    with tempfile.TemporaryDirectory() as cache:
        machine.in_own_process(_start, config, cache)
        return machine.in_own_process(_start, config, cache)


def _group(config: TrainConfig, *, one_device: bool = False) -> DeviceGroup:
    if one_device:
        return DeviceGroup(make_agent(config, training_environment()), jax.devices()[:1])
    devices_of_cores()
    return DeviceGroup.of(make_agent(config, training_environment()))


def _compiled(group: DeviceGroup) -> machine.Program:
    config = group.agent.config
    check_memory(f"num_envs = {config.num_envs} with the other sizes", estimate_memory(config))
    return machine.compiled(group.update, group.template)


def _measure(config: TrainConfig, repeats: int, one_device: bool) -> TrainSpeed:
    jax.config.update("jax_enable_compilation_cache", False)
    group = _group(config, one_device=one_device)
    program = _compiled(group)
    return_free_memory()
    beginning = np.float32(0), group.agent.hyperparameters
    _, (runner, _) = machine.timed(program.run, group.init()(), *beginning)
    costs = program.costs(group.devices)
    sizes: Any = program.run.memory_analysis()
    ceiling, arguments = _ceiling(group)

    speeds, ceilings = [], []
    for _ in range(repeats):
        seconds, (runner, _) = machine.timed(program.run, runner, *beginning)
        speeds.append(config.batch_size / seconds)
        ceilings.append(config.batch_size / machine.timed(ceiling, *arguments)[0])
    return TrainSpeed(
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        steps_per_second=statistics.median(speeds),
        ceiling=statistics.median(ceilings),
        of_ceiling=statistics.median(speed / most for speed, most in zip(speeds, ceilings, strict=True)),
        state_memory=sizes.argument_size_in_bytes,
        temporary_memory=sizes.temp_size_in_bytes,
        **costs,
    )


def _ceiling(group: DeviceGroup) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The compiled matrix products of one update, and what they are applied to."""
    config, count = group.agent.config, len(group.devices)
    envs = config.num_envs // count
    minibatch = envs * config.num_steps // config.num_minibatches

    @functools.partial(
        jax.shard_map,
        mesh=Mesh(np.array(group.devices), "device"),
        in_specs=(PartitionSpec(), PartitionSpec("device")),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    def products(params: Any, inputs: jax.Array) -> Any:
        def forward(total: jax.Array, _: None) -> tuple[jax.Array, None]:
            # Each pass depends on the one before, so that none is optimised away.
            return jnp.sum(_heads(params, inputs[:envs] + 1e-9 * total)), None

        def learn(params: Any, _: None) -> tuple[Any, None]:
            gradients = jax.grad(lambda params: jnp.mean(jnp.square(_heads(params, inputs))))(params)
            gradients = lax.pmean(gradients, "device")
            return jax.tree.map(lambda x, slope: x - 1e-6 * slope, params, gradients), None

        total, _ = lax.scan(forward, jnp.float32(0), length=config.num_steps)
        params, _ = lax.scan(learn, params, length=config.update_epochs * config.num_minibatches)
        return params, lax.pmean(total, "device")

    params = group.agent.init(jax.random.key(0), jnp.zeros((1, OBSERVATION_SIZE)))
    shape = (minibatch * count, _input_size(params))
    inputs = jax.random.bernoulli(jax.random.key(0), 0.1, shape).astype(jnp.float32)
    compiled = jax.jit(products, compiler_options=compiler_options()).lower(params, inputs).compile()
    arguments = jax.device_put((params, inputs), compiled.input_shardings[0])
    jax.block_until_ready(compiled(*arguments))
    return compiled, arguments


def _heads(params: Any, inputs: jax.Array) -> jax.Array:
    """What the network's matrix products give for inputs (B, D): logits and value, (B, 29).

    With a board encoder the first inputs are the cells that it embeds, and the others go to the dense layers as they
    are: the facts, and in place of the cells' copies in the view so many other numbers.
    """
    layers = params["params"]
    if _ENCODER in layers:
        kernel = layers[_ENCODER]["Dense_0"]["kernel"]
        cells, others = jnp.split(inputs, [NUM_CELLS * kernel.shape[0]], axis=1)
        embedded = nn.relu(cells.reshape(-1, NUM_CELLS, kernel.shape[0]) @ kernel)
        inputs = jnp.concatenate([others, embedded.reshape(others.shape[0], -1)], axis=1)
    *hidden, logits, value = (layers[f"Dense_{i}"]["kernel"] for i in range(len(layers) - (_ENCODER in layers)))
    for kernel in hidden:
        inputs = nn.relu(inputs @ kernel)
    return inputs @ jnp.concatenate([logits, value], axis=1)


def _input_size(params: Any) -> int:
    """How many numbers `_heads` takes for one state."""
    layers = params["params"]
    size = layers["Dense_0"]["kernel"].shape[0]
    if _ENCODER in layers:
        seen, features = layers[_ENCODER]["Dense_0"]["kernel"].shape
        size += NUM_CELLS * (seen - features)
    return size


def _start(config: TrainConfig, cache: str) -> tuple[float, float]:
    jax.config.update("jax_compilation_cache_dir", cache)
    program = _compiled(_group(config))
    return program.lowering, program.compiling
