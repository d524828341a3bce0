"""Lets `pytest --nbval notebooks` run the notebooks as tests: at a small size, with this Python and its settings.

Those for Colab's devices are slow tests: here they train as `train_local_cpu`, of whose cells theirs are copies. So is
`make_it_yours`, which compiles six programs of its own.
"""

import os

import pytest

import tests.conftest  # noqa: F401  # sets environment variables, which the notebooks' kernels inherit


def pytest_configure(config: pytest.Config) -> None:
    """Add to `--nbval` what the notebooks need."""
    if config.getoption("nbval", False):
        os.environ["HACKMATRIX_SMOKE"] = "1"
        config.option.nbval_current_env = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the notebooks that are slow."""
    for item in items:
        if item.path.match("train_colab_*.ipynb") or item.path.match("make_it_yours.ipynb"):
            item.add_marker(pytest.mark.slow)
