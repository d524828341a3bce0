"""The command `hackmatrix doctor`."""

import argparse
import importlib.metadata
import platform

import jax

from hackmatrix_core.cli.arguments import Commands, purpose
from hackmatrix_core.errors import UserError
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.tuning import GIB, estimate_memory, get_device_config, preset_for_device

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy", "matplotlib")


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "doctor", help="show versions, devices and what would be chosen", description=purpose(run)
    )
    command.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """`hackmatrix doctor`: versions, devices, and the config that would be chosen."""
    print(f"python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        print(f"{package} {importlib.metadata.version(package)}")
    devices_of_cores()
    device = get_device_config()
    print(f"preset for this device: {device.preset}")
    config = preset_for_device(device)
    print(
        f"about {estimate_memory(config) / GIB:.2f} of {device.total_memory / GIB:.1f} GiB would be used (limit: half)"
    )
    product = jax.numpy.ones((256, 256), jax.numpy.float32) @ jax.numpy.ones((256, 256), jax.numpy.float32)
    if float(product.sum()) != 256.0**3:
        raise UserError("a matrix product on the device gave a wrong result")
    print("a matrix product on the device: correct")
    return 0
