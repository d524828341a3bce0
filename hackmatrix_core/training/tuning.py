"""Sizes that fit the device: what it is, how much of its memory a run needs, how many environments suit it."""

import dataclasses
import os

import jax

from hackmatrix_core.agent.perception import CELL_SCALE, FACT_SCALE, VIEW
from hackmatrix_core.errors import UsageError
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.observation import OBSERVATION_SIZE
from hackmatrix_core.game.state import NUM_CELLS
from hackmatrix_core.training.config import PRESETS, TrainConfig, next_multiple

GIB = 2**30
ENVIRONMENT = 48 * 1024
"""About how many bytes an environment takes, with what its step needs beside it."""
EVALUATED_GAME = SEARCHED_STATE = 4 * 1024
"""The same of a game in an evaluation, and of each state that a search looks at."""


@dataclasses.dataclass(frozen=True)
class DeviceConfig:
    """The devices that JAX computes on here."""

    platform: str
    """`cpu`, `gpu` or `tpu`."""
    kind: str
    """The maker's name, for example `Tesla T4`."""
    count: int
    """Devices of this process."""
    memory: int
    """Bytes that JAX may take of one device (of a GPU three quarters, by default); of the whole machine for a CPU."""

    @property
    def preset(self) -> str:
        """The name of the preset for this device."""
        if self.platform == "gpu":
            return "t4" if self.memory < 16 * GIB else "gpu"
        return self.platform if self.platform in PRESETS else "cpu"

    @property
    def total_memory(self) -> int:
        """Bytes of all devices; those of a CPU share the machine's."""
        return self.memory if self.platform == "cpu" else self.count * self.memory

    def __str__(self) -> str:
        return f"{self.count} × {self.kind} ({self.platform}, {self.memory / GIB:.1f} GiB)"


def get_device_config() -> DeviceConfig:
    """The devices of this process, as `jax.local_devices()` gives them; starts the JAX backend."""
    devices = jax.local_devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    if memory is None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    platform = devices[0].platform
    return DeviceConfig(platform, devices[0].device_kind, len(devices), int(memory))


def estimate_memory(config: TrainConfig) -> int:
    """About how many bytes of device memory a run takes, counted from its largest arrays.

    These are the rollout (observations at one byte per number), one minibatch with its observations as float32, its
    hidden activations and their gradients, and the parameters with both moments of Adam.

    Raises:
        NetworkError: the config names a network that cannot be imported or trained.
    """
    percept = NUM_CELLS * CELL_SCALE.size + FACT_SCALE.size
    view = VIEW**2 * config.cell_dim
    if config.network is not None:
        from hackmatrix_core.agent import own_network  # brings flax along

        network = own_network.from_name(config.network)
        numbers = percept if getattr(network, "takes_percept", False) else OBSERVATION_SIZE
        weights, activations = own_network.numbers_in(network, OBSERVATION_SIZE, NUM_ACTIONS)
    else:
        numbers, inputs = (percept, FACT_SCALE.size + view) if config.cell_dim else (OBSERVATION_SIZE,) * 2
        activations = 4 * config.hidden_dim * config.num_layers + 6 * NUM_ACTIONS + 4 * view
        weights = inputs * config.hidden_dim + (config.num_layers - 1) * config.hidden_dim**2
    rollout = config.batch_size * (numbers + NUM_ACTIONS + 8 * 4)
    minibatch = config.batch_size // config.num_minibatches * (5 * numbers + 4 * activations)
    return rollout + minibatch + 6 * 4 * weights + config.num_envs * ENVIRONMENT


def check_memory(what: str, needed: int) -> None:
    """Raise a UsageError, which names what needs so many bytes, if the devices of this process have less."""
    device = get_device_config()
    if needed > device.total_memory:
        raise UsageError(f"{what} needs about {needed / GIB:,.1f} GiB of memory, and {device} has less. Choose less")


def auto_tune_for_device(config: TrainConfig, device: DeviceConfig | None = None) -> TrainConfig:
    """The config with as many environments as suit the device; prints how many in one line.

    Starts from the larger of the config's `num_envs` and that of the device's preset, and halves until the estimated
    memory stays below half of the devices'.

    Args:
        config: what to tune. `total_timesteps` is raised to one update if it is less; all other fields stay.
        device: the device to tune for; default: this machine's.

    Raises:
        ValueError: not even one environment per minibatch fits.
    """
    device = device or get_device_config()
    num_envs = max(config.num_envs, TrainConfig.preset(device.preset).num_envs)
    budget = device.total_memory // 2
    while True:
        num_envs = next_multiple(num_envs, config.num_minibatches)
        total = max(config.total_timesteps, num_envs * config.num_steps)
        tuned = dataclasses.replace(config, num_envs=num_envs, total_timesteps=total)
        needed = estimate_memory(tuned)
        if needed <= budget:
            break
        if num_envs == config.num_minibatches:
            size = f"hidden_dim = {config.hidden_dim}" if config.network is None else f"network = {config.network}"
            raise ValueError(
                f"{size} with num_steps = {config.num_steps} needs about "
                f"{needed / GIB:.1f} GiB even for {num_envs} environments, and half of {device} is "
                f"{budget / GIB:.1f} GiB. Reduce one of them"
            )
        num_envs //= 2
    print(f"{device}: {num_envs} environments, about {needed / GIB:.2f} GiB of memory")
    return tuned


def preset_for_device(device: DeviceConfig, **changes: int | float) -> TrainConfig:
    """The device's preset, tuned for it unless `num_envs` is among the changed fields.

    Raises:
        ValueError: a value out of range, or nothing fits (see `auto_tune_for_device`).
    """
    config = TrainConfig.preset(device.preset, **changes)
    return config if "num_envs" in changes else auto_tune_for_device(config, device)
