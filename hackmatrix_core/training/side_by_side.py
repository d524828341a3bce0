"""Many agents in one compiled program: each device has its share of the agents, and no gradient leaves it.

A runner here is that of `runner`, with a leading axis of agents on all but the number of updates.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game.vectorization.backend import compiler_options
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.devices import SHARED, SPREAD, DeviceGroup
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.metrics import Metrics
from hackmatrix_core.training.ppo import update_step
from hackmatrix_core.training.runner import Agent, RunnerState, init_runner
from hackmatrix_core.training.tuning import estimate_memory, get_device_config

_SPECS = RunnerState(params=SPREAD, opt_state=SPREAD, env_state=SPREAD, obs=SPREAD, key=SPREAD, update=SHARED)


@dataclasses.dataclass(frozen=True)
class AgentGroup(DeviceGroup):
    """Agents that differ in hyperparameters and seed, on the devices of this process.

    Args:
        agent: what they have in common.
        devices: each has an equal share of them; the last agent is repeated where they do not come out even.
        configs: one for each agent.
    """

    configs: Sequence[TrainConfig] = ()
    _other_specs: ClassVar[tuple[Any, Any]] = SPREAD, SPREAD

    @classmethod
    def of_agents(cls, agent: Agent, configs: Sequence[TrainConfig]) -> Self:
        """On as many devices as there are agents, or all."""
        return cls(agent, jax.local_devices()[: len(configs)], configs)

    @property
    def batch_size(self) -> int:
        """Environment steps of one update of all agents."""
        return len(self.configs) * self.agent.config.batch_size

    @property
    def specs(self) -> RunnerState:
        """Which parts of a runner are spread over the devices."""
        return _SPECS

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Those of all agents, with a leading axis."""
        return jax.tree.map(lambda *values: np.stack(values), *map(Hyperparameters.of, self._padded))

    def init(self) -> functools.partial[RunnerState]:
        """A function that makes the runners before the first update."""

        def start(keys: jax.Array, hyperparameters: Hyperparameters) -> RunnerState:
            def one(both: tuple[jax.Array, Hyperparameters]) -> RunnerState:
                key, own = both
                return init_runner(self.agent.using(own), key)._replace(update=None)  # type: ignore[arg-type]

            return lax.map(one, (keys, hyperparameters))._replace(update=jnp.zeros((), jnp.int32))

        init = jax.jit(self._mapped(start, (SPREAD, SPREAD), self.specs), compiler_options=compiler_options())
        keys = jax.vmap(jax.random.key)(np.array([config.seed for config in self._padded], np.uint32))
        return functools.partial(init, keys, self.hyperparameters)

    def _update(
        self, runner: RunnerState, done: jax.Array, hyperparameters: Hyperparameters
    ) -> tuple[RunnerState, Metrics]:
        """One update of all agents of a device."""
        update = runner.update

        def one(both: tuple[RunnerState, Hyperparameters]) -> tuple[RunnerState, Metrics]:
            runner, own = both
            runner, metrics = update_step(self.agent.using(own), runner._replace(update=update), done)
            return runner._replace(update=None), metrics  # type: ignore[arg-type]

        agents = runner._replace(update=None), hyperparameters  # type: ignore[arg-type]
        at_once = min(self._at_once, runner.obs.shape[0])
        runner, metrics = lax.map(one, agents, batch_size=at_once if at_once > 1 else None)
        return runner._replace(update=update + 1), metrics

    @property
    def _at_once(self) -> int:
        """How many agents a device steps together: on a CPU, which one keeps busy, one after the other."""
        device = get_device_config()
        if device.platform == "cpu":
            return 1
        return max(1, device.memory // 2 // estimate_memory(self.agent.config))

    @property
    def _padded(self) -> list[TrainConfig]:
        lacking = -len(self.configs) % len(self.devices)
        return [*self.configs, *[self.configs[-1]] * lacking]


def part_of(runner: RunnerState, number: int) -> RunnerState:
    """The runner of one agent, from those of all, on the host."""
    one: Any = jax.tree.map(lambda x: np.asarray(x)[number], runner._replace(update=None))  # type: ignore[arg-type]
    return one._replace(update=np.asarray(runner.update))
