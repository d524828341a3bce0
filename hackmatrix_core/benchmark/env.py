"""How fast this machine steps the environment: throughput, compile time and memory, measured together.

Each size is measured in a separate process, so that peak memory and compilation are those of that size alone. On a
CPU every core gets a share of the environments: XLA keeps one program on about one core, so the cores are made devices
and the batch is sharded over them.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hackmatrix_core.agent import baselines
from hackmatrix_core.benchmark import machine
from hackmatrix_core.environment.gymnax_env import EnvState, HackMatrixGymnax
from hackmatrix_core.game.vectorization.backend import compiler_options, devices_of_cores
from hackmatrix_core.viewing.tables import Table

SIZES = (64, 256, 512, 1024, 2048, 4096, 8192)
_STEPS, _LONGEST = 262_144, 1024  # environment steps of one timed run, and how often a few environments are stepped


@dataclasses.dataclass(frozen=True)
class EnvSpeed:
    """What was measured with one number of environments; times in seconds, medians of the repeats."""

    num_envs: int
    num_devices: int
    platform: str  # as JAX names it: cpu, gpu, tpu
    steps_per_second: float
    steps_per_second_without_observation: float
    lowering: float
    compiling: float
    peak_memory: int  # bytes, the most that the process has held on the host
    state_bytes: int  # of one environment


def measure_env(sizes: Sequence[int] = SIZES, repeats: int = 5) -> Iterator[EnvSpeed]:
    """Measure environment steps: action mask, random valid action, step with auto-reset, observation, in one scan.

    Args:
        sizes: numbers of environments. As many devices are used as divide it evenly.
        repeats: timed runs of each program; the median counts.

    Yields:
        One `EnvSpeed` per size, as soon as it is measured.
    """
    for size in sizes:
        yield machine.in_own_process(_measure, size, repeats)


def table(rows: Sequence[EnvSpeed]) -> Table:
    """The measurements as a table."""
    head = ("envs", "steps/s", "without obs", "lowering", "compiling", "peak memory", "state")
    lines = [
        (
            f"{row.num_envs:,}",
            f"{row.steps_per_second:,.0f}",
            f"{row.steps_per_second_without_observation:,.0f}",
            f"{row.lowering:.1f} s",
            f"{row.compiling:.1f} s",
            f"{row.peak_memory / 2**20:,.0f} MiB",
            f"{row.state_bytes:,} B",
        )
        for row in rows
    ]
    return Table([head, *lines])


def _measure(num_envs: int, repeats: int) -> EnvSpeed:
    jax.config.update("jax_enable_compilation_cache", False)
    devices_of_cores()
    devices = jax.local_devices()
    devices = devices[: max(n for n in range(1, len(devices) + 1) if num_envs % n == 0)]
    sharding = NamedSharding(Mesh(np.array(devices), "device"), PartitionSpec("device"))
    env = HackMatrixGymnax()
    keys = jax.device_put(jax.random.split(jax.random.key(0), num_envs), sharding)
    reset = jax.jit(jax.vmap(env.reset), compiler_options=compiler_options())

    def new_games() -> EnvState:
        return jax.device_put(reset(keys)[1], sharding)

    state = new_games()
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) // num_envs
    with_observation, lowering, compiling = _compiled(env, state, keys, sharding, observes=True)
    speed = _speed(with_observation, state, keys, repeats)
    peak = machine.peak_memory()
    state = new_games()
    without_observation, *_ = _compiled(env, state, keys, sharding, observes=False)
    return EnvSpeed(
        num_envs=num_envs,
        num_devices=len(devices),
        platform=devices[0].platform,
        steps_per_second=speed,
        steps_per_second_without_observation=_speed(without_observation, state, keys, repeats),
        lowering=lowering,
        compiling=compiling,
        peak_memory=peak,
        state_bytes=state_bytes,
    )


def _compiled(
    env: HackMatrixGymnax, state: EnvState, keys: jax.Array, sharding: NamedSharding, *, observes: bool
) -> tuple[Any, float, float]:
    """The compiled scan, the seconds it took to lower and to compile it."""
    steps = _scan_length(keys.shape[0])

    @functools.partial(
        jax.shard_map, mesh=sharding.mesh, in_specs=sharding.spec, out_specs=sharding.spec, check_vma=False
    )
    def rollout(state: EnvState, keys: jax.Array) -> tuple[EnvState, jax.Array]:
        def one_step(carry: tuple[EnvState, jax.Array], time: jax.Array) -> tuple[Any, None]:
            state, total = carry
            now = jax.vmap(jax.random.fold_in, (0, None))(keys, time)
            mask = jax.vmap(env.get_action_mask)(state)
            action = jax.vmap(baselines.random, (None, None, 0, 0))(None, None, mask, now)
            obs, state, reward, _, _ = jax.vmap(env.step)(now, state, action)
            # All of the observation is used, as a network would use it.
            seen = jnp.sum(obs, axis=1) if observes else jnp.zeros_like(reward)
            return (state, total + reward + seen), None

        total = jnp.zeros_like(state.episode_return)
        return lax.scan(one_step, (state, total), jnp.arange(steps, dtype=jnp.int32))[0]

    start = time.perf_counter()
    # Donated, as a training loop does it: the histories are most of a state, and would be copied at the start of a run.
    lowered = jax.jit(rollout, donate_argnums=0, compiler_options=compiler_options()).lower(state, keys)
    middle = time.perf_counter()
    compiled = lowered.compile()
    return compiled, middle - start, time.perf_counter() - middle


def _scan_length(num_envs: int) -> int:
    return min(max(8, _STEPS // num_envs), _LONGEST)


def _speed(compiled: Any, state: EnvState, keys: jax.Array, repeats: int) -> float:
    """Environment steps a second, the median; the first run, which warms up and mixes the games, does not count."""
    steps = _scan_length(keys.shape[0]) * keys.shape[0]
    speeds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(compiled(state, keys))
        speeds.append(steps / (time.perf_counter() - start))
    return statistics.median(speeds[1:])
