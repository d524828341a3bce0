"""Around compiling: the cache of compiled programs, and the memory that the compiler leaves behind."""

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

import jax

_JAX_CONFIG: Any = jax.config  # the types of some releases of JAX lack its options


def keep_compiled_programs() -> None:
    """Keep compiled programs on disk for the next start, unless a place for them is already set."""
    if _JAX_CONFIG.jax_compilation_cache_dir is None:
        with contextlib.suppress(RuntimeError):  # a user without a home
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            jax.config.update("jax_compilation_cache_dir", str(home / "hackmatrix-jax"))


def return_free_memory() -> None:
    """Return to the system what compiling has freed: half a gigabyte that glibc would keep for itself."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
