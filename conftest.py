"""Lets `pytest --nbval notebooks` run the notebooks as tests: at a small size, with this Python and its settings."""

import os

import pytest

import tests.conftest  # noqa: F401  # sets environment variables, which the notebooks' kernels inherit


def pytest_configure(config: pytest.Config) -> None:
    """Add to `--nbval` what the notebooks need."""
    if config.getoption("nbval", False):
        os.environ["HACKMATRIX_SMOKE"] = "1"
        config.option.nbval_current_env = True
