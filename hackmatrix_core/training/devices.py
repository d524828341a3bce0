"""One training run on many devices, on one machine or several.

The environments are spread over the devices with `jax.shard_map`; parameters are the same everywhere, and gradients are
averaged. Several processes (the hosts of a TPU pod, nodes with GPUs) run the same program, joined by `jax.distributed`.
Only the first of them reads and writes files.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.stages import Lowered

from hackmatrix_core.errors import UserError
from hackmatrix_core.game.vectorization.backend import compiler_options
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.metrics import Metrics
from hackmatrix_core.training.ppo import update_step
from hackmatrix_core.training.runner import Agent, RunnerState, as_plain, init_runner, is_key

_AXIS = "device"
# Any, because in `_SPECS` they stand in for arrays.
SHARED: Any = PartitionSpec()
SPREAD: Any = PartitionSpec(_AXIS)
_SPECS = RunnerState(params=SHARED, opt_state=SHARED, env_state=SPREAD, obs=SPREAD, key=SHARED, update=SHARED)


@dataclasses.dataclass(frozen=True)
class DeviceGroup:
    """The devices of a run, and an agent that works on all of them.

    Args:
        agent: the run's fixed parts, as for one device.
        devices: of all processes; each gets an equal share of the environments.
    """

    agent: Agent
    devices: list[jax.Device]

    @classmethod
    def of(cls, agent: Agent) -> Self:
        """All devices of all processes, or as many as can have equal shares of each minibatch.

        Raises:
            UserError: there are several processes, and their devices cannot all be used.
        """
        config, devices = agent.config, jax.devices()
        groups = config.num_envs // config.num_minibatches
        usable = max(n for n in range(1, len(devices) + 1) if groups % n == 0)
        if usable < len(devices) and jax.process_count() > 1:
            raise UserError(
                f"num_envs is {config.num_envs}, which {len(devices)} devices with num_minibatches = "
                f"{config.num_minibatches} cannot share equally. Set num_envs to a multiple of "
                f"{len(devices) * config.num_minibatches}"
            )
        return cls(agent, devices[:usable])

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that reads, writes and shows."""
        return jax.process_index() == 0

    @property
    def batch_size(self) -> int:
        """Environment steps of one update."""
        return self.agent.config.batch_size

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What the compiled update is given."""
        return self.agent.hyperparameters

    @property
    def specs(self) -> RunnerState:
        """Which parts of a runner are spread over the devices."""
        return _SPECS

    @property
    def template(self) -> RunnerState:
        """Shapes and dtypes of the runner."""
        init = self.init()
        return jax.eval_shape(init.func, *init.args)  # JAX 0.7 takes no compiler options of a function inside another

    def init(self) -> functools.partial[RunnerState]:
        """A function that makes the runner before the first update, spread over the devices."""

        def start(key: jax.Array, hyperparameters: Hyperparameters) -> RunnerState:
            return init_runner(self._agent_on_device.using(hyperparameters), key)

        init = jax.jit(self._mapped(start, (SHARED, SHARED), self.specs), compiler_options=compiler_options())
        return functools.partial(init, jax.random.key(self.agent.config.seed), self.hyperparameters)

    def update(self, template: RunnerState, platforms: tuple[str, ...] | None = None) -> Lowered:
        """`ppo.update_step` on all devices, to be compiled; the metrics are those of all environments.

        The compiled function takes a runner, whose buffers it takes over, the share of the run that is done,
        () float32, and the hyperparameters.

        Args:
            template: shapes and dtypes of the runner.
            platforms: what to lower for, where it is not what JAX computes on here.
        """
        values, (of_values, of_metrics) = self.hyperparameters, self._other_specs
        update = self._mapped(self._update, (self.specs, SHARED, of_values), (self.specs, of_metrics))
        update = jax.jit(update, donate_argnums=0, compiler_options=compiler_options())
        done = jax.ShapeDtypeStruct((), jnp.float32)
        return update.trace(template, done, values).lower(lowering_platforms=platforms)

    _other_specs: ClassVar[tuple[Any, Any]] = SHARED, SHARED
    """Where hyperparameters and metrics lie."""

    def _update(
        self, runner: RunnerState, done: jax.Array, hyperparameters: Hyperparameters
    ) -> tuple[RunnerState, Metrics]:
        """What each device does in an update."""
        return update_step(self._agent_on_device.using(hyperparameters), runner, done)

    def place(self, plain: RunnerState | None, template: RunnerState) -> RunnerState:
        """The runner of the first process, spread over the devices, in new buffers. All processes must call it.

        Args:
            plain: with plain keys (see `runner.as_plain`); None in the other processes.
            template: shapes and dtypes of the runner.
        """
        if plain is None:
            shapes = jax.eval_shape(as_plain, template)
            plain = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

        def typed(leaf: jax.Array, model: jax.ShapeDtypeStruct) -> jax.Array:
            copy = jnp.copy(leaf)
            return jax.random.wrap_key_data(copy) if is_key(model) else copy

        plain = multihost_utils.broadcast_one_to_all(jax.device_get(plain))
        return jax.jit(lambda plain: jax.tree.map(typed, plain, template), out_shardings=self.shardings)(plain)

    def gather(self, runner: RunnerState) -> RunnerState:
        """The whole runner, with plain keys, on this process. All processes must call it."""
        if jax.process_count() == 1:
            return as_plain(runner)
        replicated = jax.jit(as_plain, out_shardings=self.shardings.params)(runner)
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), replicated)

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is set in any process. All processes must call it."""
        return bool(np.any(multihost_utils.process_allgather(np.array(flag))))

    def from_first_process(self, value: float) -> float:
        """The value of the first process. All processes must call it."""
        return float(multihost_utils.broadcast_one_to_all(np.array(value, np.float64)))

    @property
    def _agent_on_device(self) -> Agent:
        """The agent as each device sees it."""
        return self.agent if len(self.devices) == 1 else self.agent._replace(axis=_AXIS)

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), _AXIS)

    @property
    def shardings(self) -> RunnerState:
        """Where each part of a runner lies."""
        return RunnerState._make(map(functools.partial(NamedSharding, self._mesh), self.specs))

    def _mapped(self, function: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
        if len(self.devices) == 1:
            return function
        return jax.shard_map(function, mesh=self._mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def broadcast_from_first(text: str) -> str:
    """The text of the first process, in every process. All processes must call it."""
    content = np.frombuffer(text.encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.array(content.size, np.int32)))
    return bytes(multihost_utils.broadcast_one_to_all(np.resize(content, length))).decode()
