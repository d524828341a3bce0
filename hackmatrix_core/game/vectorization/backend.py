"""What the rules ask about the platform that they are compiled for, and what they ask of it and of its compiler."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.experimental
import jaxlib.version

# Since JAX 0.8 a part of `jax` itself. It has no truth value, so that `or` does not do.
_enable_x64: Any = getattr(jax, "enable_x64", getattr(jax.experimental, "enable_x64", None))
_JAX_CONFIG: Any = jax.config  # the types of some releases of JAX lack its options
_targets: list[str] = []


def platform() -> str:
    """The platform compiled for, as JAX names it: that of `compiling_for`, else the one JAX computes on here."""
    return _targets[-1] if _targets else jax.default_backend()


def on_cpu() -> bool:
    """Whether the rules are compiled for a CPU, whose compiler some of them are written around.

    Asked when tracing, not when lowering (`lax.platform_dependent`): that would trace the rules twice.
    """
    return platform() == "cpu"


def on_gpu() -> bool:
    """Whether the rules are compiled for a GPU.

    Each turn of a loop starts its kernels anew there, and where its end depends on data, it waits for the host as well.
    """
    return platform() in ("gpu", "cuda", "rocm")


@contextlib.contextmanager
def compiling_for(target: str) -> Iterator[None]:
    """Trace the rules as for another platform (`cpu`, `gpu`, `tpu`) than the one that JAX computes on here.

    What JAX has traced before is forgotten at both ends, because it does not know about the target.
    """
    _targets.append(target)
    jax.clear_caches()
    try:
        yield
    finally:
        _targets.pop()
        jax.clear_caches()


in_32_bits = functools.partial(_enable_x64, False)
"""A context in which numbers have 32 bits, as the rules are written, also where `jax_enable_x64` is set."""


def compiler_options() -> dict[str, bool]:
    """Options of XLA, for an outermost `jax.jit`.

    Up to jaxlib 0.11.0 XLA for the CPU can make its kernels in two ways. The newer one, which is the default there and
    the only one later, takes a third longer and twice the memory for kernels that are no faster.
    """
    return {"xla_cpu_use_fusion_emitters": False} if on_cpu() and jaxlib.version.__version_info__ < (0, 11, 1) else {}


def devices_of_cores() -> None:
    """Make each core of the CPU a device, unless their number is already set or JAX has started to compute.

    XLA keeps one program of small operations, such as the game's, on about one core.
    """
    is_set = _JAX_CONFIG.jax_num_cpu_devices > 0 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):  # it has started
        jax.config.update("jax_num_cpu_devices", _JAX_CONFIG.jax_num_cpu_devices if is_set else cores)
