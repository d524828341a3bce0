"""Around compiling: the cache of compiled programs, and the memory that the compiler leaves behind."""

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

import jax

_JAX_CONFIG: Any = jax.config  # the types of some releases of JAX lack its options


_MOST_ON_A_DRIVE = 500_000_000


def keep_compiled_programs(drive: Path | None = None) -> None:
    """Keep compiled programs on disk for the next start, unless a place for them is already set.

    Args:
        drive: a folder that other machines also have; it is told how large it is, and the oldest of more than half a
            gigabyte are removed. (JAX can do that itself, by a lock that a mounted drive need not have.)
    """
    if _JAX_CONFIG.jax_compilation_cache_dir is not None:
        return
    with contextlib.suppress(RuntimeError):  # a user without a home
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(drive or home / "hackmatrix-jax"))
    if drive:
        files = {file: file.stat() for file in drive.rglob("*") if file.is_file()}
        size = sum(about.st_size for about in files.values())
        for file in sorted(files, key=lambda file: files[file].st_mtime):
            if size > _MOST_ON_A_DRIVE:
                file.unlink()
                size -= files[file].st_size
        print(f"Compiled programs are kept in {drive}: {size / 1e6:.0f} MB so far.")


def return_free_memory() -> None:
    """Return to the system what compiling has freed: half a gigabyte that glibc would keep for itself."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
