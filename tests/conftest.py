"""Settings for all tests and the processes that they start.

They run on the CPU unless JAX_PLATFORMS says otherwise, share the programs that they compile, and nothing is promoted
silently to another dtype or rank. Most of their time is compiling, so XLA optimises little, except in modules that use
the fixture `as_users_compile`.
"""

import os
import shutil
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module")
def as_users_compile():
    """With all of XLA's optimisations."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")


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
