"""Settings for all tests and the processes that they start.

They run on the CPU unless JAX_PLATFORMS says otherwise, and nothing is promoted silently to another dtype or rank.

Most of their time is compiling. So XLA optimises little, except in modules that use the fixture `as_users_compile`, and
what is compiled is kept in `.jax_cache` for all processes and later runs. `tests.programs` says how tests share it.
"""

import contextlib
import gc
import os
import shutil
from pathlib import Path

import jaxlib.version

from tests import ROOT

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# Each worker compiles on one core, so that splitting a program is work for nothing.
flags = "--xla_cpu_parallel_codegen_split_count=1"
if jaxlib.version.__version_info__ < (0, 11, 1):
    # An `env.step` compiles in 2.4 CPU seconds instead of 6.3. Later releases have one kind of kernel only, and abort
    # when asked for the other.
    flags += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}"

import jax
import pytest

# Tracing makes many objects that stay: with Python's own threshold, looking for garbage takes an eighth of all time.
gc.set_threshold(200_000, 50, 50)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@contextlib.contextmanager
def all_optimisations():
    """Compile with all of XLA's optimisations, as users do."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")


@pytest.fixture(scope="module")
def as_users_compile():
    """With all of XLA's optimisations."""
    with all_optimisations():
        yield


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that really runs pages; the test is skipped where none is installed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("no browser is installed: python -m playwright install chromium")
        with playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]) as opened:
            yield opened
