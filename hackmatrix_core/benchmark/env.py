"""How fast this machine steps the environment: throughput, compile time and memory, measured together.

Each size is measured in a separate process, so that peak memory and compilation are those of that size alone. On a
CPU every core gets a share of the environments: XLA keeps one program on about one core, so the cores are made devices
and the batch is sharded over them.
"""

import dataclasses
import functools
import statistics
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
from hackmatrix_core.training.tuning import ENVIRONMENT, check_memory
from hackmatrix_core.viewing.tables import Table

SIZES = (64, 256, 512, 1024, 2048, 4096, 8192)
_STEPS, _LONGEST = 262_144, 1024  # environment steps of one timed run, and how often a few environments are stepped


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvSpeed(machine.Measurement):
    """What was measured with one number of environments; speeds are medians of the repeats."""

    num_envs: int
    steps_per_second: float
    steps_per_second_without_observation: float
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
    lines = [
        (
            f"{row.num_envs:,}",
            f"{row.steps_per_second:,.0f}",
            f"{row.steps_per_second_without_observation:,.0f}",
            *row.costs(),
            f"{row.state_bytes:,} B",
        )
        for row in rows
    ]
    return Table([("envs", "steps/s", "without obs", *machine.COSTS, "state"), *lines])


def _measure(num_envs: int, repeats: int) -> EnvSpeed:
    jax.config.update("jax_enable_compilation_cache", False)
    devices_of_cores()
    check_memory(f"num_envs = {num_envs}", num_envs * ENVIRONMENT)
    devices = jax.local_devices()
    devices = devices[: max(n for n in range(1, len(devices) + 1) if num_envs % n == 0)]
    sharding = NamedSharding(Mesh(np.array(devices), "device"), PartitionSpec("device"))
    env = HackMatrixGymnax()
    keys = jax.device_put(jax.random.split(jax.random.key(0), num_envs), sharding)
    reset = jax.jit(jax.vmap(env.reset), compiler_options=compiler_options())

    def new_games() -> EnvState:
        return jax.device_put(reset(keys)[1], sharding)

    steps = min(max(8, _STEPS // num_envs), _LONGEST)
    state = new_games()
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) // num_envs
    program = machine.compiled(_rollout(env, sharding, steps, observes=True).lower, state, keys)
    speed = steps * num_envs / _median_seconds(program, state, keys, repeats)
    costs = program.costs(devices)
    without_observation = machine.compiled(_rollout(env, sharding, steps, observes=False).lower, new_games(), keys)
    without = steps * num_envs / _median_seconds(without_observation, new_games(), keys, repeats)
    return EnvSpeed(
        num_envs=num_envs,
        steps_per_second=speed,
        steps_per_second_without_observation=without,
        state_bytes=state_bytes,
        **costs,
    )


def _rollout(env: HackMatrixGymnax, sharding: NamedSharding, steps: int, *, observes: bool) -> Any:
    """The scan over steps, jitted: states and keys to states and a sum of all that was seen."""

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

    # Donated, as a training loop does it: the histories are most of a state, and would be copied at the start of a run.
    return jax.jit(rollout, donate_argnums=0, compiler_options=compiler_options())


def _median_seconds(program: machine.Program, state: EnvState, keys: jax.Array, repeats: int) -> float:
    """Of one run; the first, which warms up and mixes the games, does not count."""
    times = []
    for _ in range(repeats + 1):
        seconds, (state, _) = machine.timed(program.run, state, keys)
        times.append(seconds)
    return statistics.median(times[1:])
