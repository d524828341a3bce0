"""Compiling for devices that are not at hand."""

import importlib.util

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from hackmatrix_core.errors import UserError
from tests.tools import compile_ahead as ahead


def compiled_text(function):
    return jax.jit(function).lower(jax.ShapeDtypeStruct((1000,), jnp.float32)).compile().as_text()


def test_kernels_of_loops_are_multiplied_out():
    def turn(_, x):
        return jnp.sort(x) * 2

    once, _ = ahead.kernels_of(compiled_text(lambda x: turn(0, x)))
    kernels, open_loops = ahead.kernels_of(compiled_text(lambda x: lax.fori_loop(0, 7, turn, x)))
    assert kernels >= 7 * once
    assert open_loops == ()


def test_loops_whose_end_depends_on_data_are_told_apart():
    def doubled_up(x):
        return lax.while_loop(lambda y: jnp.max(y) < 100, lambda y: jnp.sort(y) * 2, x)

    kernels, (turn,) = ahead.kernels_of(compiled_text(doubled_up))
    assert turn >= 2  # sorting, and what says whether to go on
    assert kernels < turn + 2


def test_an_unknown_device_is_named():
    with pytest.raises(UserError, match=r"t5 is no device to compile for: expected some of cpu, t4, .*v5e-4"):
        next(ahead.compile_ahead(["t4", "t5"]))


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="the compiler for TPUs is installed")
def test_a_compiler_that_is_missing_is_named():
    with pytest.raises(UserError, match=r"pip install -e '\.\[ahead-tpu\]'"):
        ahead.devices_of(ahead.TARGETS["v5e"])


@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda12_plugin") is not None, reason="the compiler for GPUs is installed"
)
def test_a_missing_compiler_for_gpus_is_named():
    with pytest.raises(UserError, match=r"pip install -e '\.\[ahead-gpu\]'"):
        ahead.devices_of(ahead.TARGETS["t4"])


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs pip install -e '.[ahead-tpu]'")
def test_training_fits_a_tpu_and_four_share_it():
    alone, shared = ahead.compile_ahead(["v5e", "v5e-4"], ["training"])
    assert alone.arguments + alone.temporary < 8 * 2**30
    assert shared.arguments + shared.temporary < 0.3 * (alone.arguments + alone.temporary)


@pytest.mark.skipif(importlib.util.find_spec("jax_cuda12_plugin") is None, reason="needs pip install -e '.[ahead-gpu]'")
def test_training_fits_a_t4():
    (training,) = ahead.compile_ahead(["t4"], ["training"])
    assert training.arguments + training.temporary < 4 * 2**30
    assert training.host_memory < 4 * 2**30
