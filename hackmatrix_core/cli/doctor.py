"""The command `hackmatrix doctor`."""

import argparse
import importlib.metadata
import platform

import jax

from hackmatrix_core.errors import UserError
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.tuning import GIB, estimate_memory, get_device_config, preset_for_device

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy", "matplotlib")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(options: argparse.Namespace) -> int:
    """Show versions, devices, and the config that would be chosen for them."""
    print(f"python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        print(f"{package} {importlib.metadata.version(package)}")
    devices_of_cores()
    device = get_device_config()
    used, total = (memory / GIB for memory in (estimate_memory(preset_for_device(device)), device.total_memory))
    print(f"preset for this device: {device.preset}")
    print(f"about {used:.2f} of {total:.1f} GiB would be used (limit: half)")
    matrix = jax.numpy.ones((256, 256), jax.numpy.float32)
    if float((matrix @ matrix).sum()) != 256.0**3:
        raise UserError("a matrix product on the device gave a wrong result")
    print("a matrix product on the device: correct")
    return 0
