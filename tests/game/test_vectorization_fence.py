"""The inner parts of JAX that the package rests on: one module has them, and each still does what it is there for."""

import ast
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import ROOT

pytestmark = pytest.mark.quick

PACKAGE = ROOT / "hackmatrix_core"
FENCED = "game/vectorization/batching.py"
INNER = ("jax._src", "jax.core", "jax.extend", "jax.interpreters")


def inner_parts(path):
    """What a file imports from JAX's inner parts, and what it takes from the modules among that: dotted names."""
    tree, modules = ast.parse(path.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(INNER):
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name: alias.name for alias in node.names if alias.name.startswith(INNER)}
    taken = {
        f"{modules[node.value.id]}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    return sorted({*modules.values(), *taken})


def exists(dotted):
    home, _, name = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(home), name)
    except ImportError:
        return False


def test_one_module_rests_on_inner_parts():
    assert [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if inner_parts(path)] == [FENCED]


@pytest.mark.parametrize("part", inner_parts(PACKAGE / FENCED))
def test_inner_parts_are_where_they_were(part):
    assert exists(part), f"JAX {jax.__version__} has no {part}, on which {FENCED} rests: look for its new place there."


def test_inner_parts_do_what_they_did():
    from hackmatrix_core.game.vectorization.batching import batched, uninlined

    shapes = []

    @batched
    def doubled(numbers):
        shapes.append(numbers.shape)
        return numbers + uninlined(lambda x: x)(numbers)

    numbers = np.arange(12, dtype=np.int32)
    np.testing.assert_array_equal(doubled(jnp.int32(3)), 6, "A rule of one game, outside of jit, is wrong.")
    shapes.clear()
    np.testing.assert_array_equal(jax.vmap(doubled)(numbers), 2 * numbers, "A rule under jax.vmap is wrong.")
    assert shapes == [(12,)], "jax.vmap does not call the batch form that is registered in batching.primitive_batchers."
    nested = jax.jit(jax.vmap(jax.vmap(doubled)))(numbers.reshape(3, 4))
    np.testing.assert_array_equal(nested, 2 * numbers.reshape(3, 4), "A rule under nested jax.vmap is wrong.")
    shapes.clear()
    jax.jit(jax.vmap(doubled)).lower(jax.ShapeDtypeStruct((5,), jnp.int32)).as_text()
    assert shapes == [(5,)], "Lowering a rule, mlir.lower_fun, traces it a second time: tracing takes twice as long."
