"""What the notebooks share: starting JAX, where a run is kept, and the config that suits the device."""

import importlib
import os
import sys
import tempfile
from pathlib import Path

import jax

from hackmatrix_core.config import (
    TrainConfig,
    devices_of_cores,
    get_device_config,
    keep_compiled_programs,
    preset_for_device,
)

SMOKE = os.environ.get("HACKMATRIX_SMOKE") == "1"
"""Whether the notebooks run in a small size, as in tests."""
_SMOKE_SIZES = {
    "num_envs": 8,
    "num_minibatches": 2,
    "num_steps": 32,
    "total_timesteps": 1024,
    "hidden_dim": 32,
    "cell_dim": 4,
}
_DRIVE = Path("/content/drive")


def start() -> None:
    """Make all cores of a CPU useful, keep compiled programs for the next time, and tell what JAX computes on."""
    devices_of_cores()
    keep_compiled_programs()
    print(f"JAX {jax.__version__} on {get_device_config()}")


def run_directory(name: str, *, drive: bool = False) -> Path:
    """The folder of a run, `runs/NAME`: beside the notebook, or with `drive` in your Google Drive.

    Elsewhere than on Colab `drive` is told and ignored. In smoke size the folder is a new, temporary one.
    """
    if SMOKE:
        return Path(tempfile.mkdtemp()) / name
    if drive and "google.colab" in sys.modules:
        importlib.import_module("google.colab.drive").mount(str(_DRIVE))
        return _DRIVE / "MyDrive" / "hackmatrix" / "runs" / name
    if drive:
        print("There is no Google Drive outside Colab: the run is kept on this machine's disk.")
    return Path("runs") / name


def config_for(preset: str, **changes: int | float) -> TrainConfig:
    """The preset's config, tuned for the device unless `num_envs` is given; elsewhere that device's preset, as is told.

    Args:
        preset: see `TrainConfig.preset`.
        changes: fields that are not the preset's.

    Raises:
        ValueError: no such preset, or a value out of range.
    """
    TrainConfig.preset(preset, **changes)  # a mistake shows here, on any device
    device = get_device_config()
    if device.preset != preset:
        print(f"This machine is no {preset}: {device}. The preset {device.preset} is taken, with its smaller sizes.")
    return preset_for_device(device, **changes | (_SMOKE_SIZES if SMOKE else {}))
