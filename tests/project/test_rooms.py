"""Imports between the rooms of the package go one way."""

import ast

import pytest

from tests import ROOT

pytestmark = pytest.mark.quick

PACKAGE = ROOT / "hackmatrix_core"
ORDER = [
    "errors", "interrupts", "display", "game", "environment", "agent", "viewing", "evaluation", "training", "playing",
    "benchmark", "notebook", "cli",
]  # fmt: skip
"""Each imports itself and those before it."""


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms that a file imports, at its head or in its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "hackmatrix_core":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hackmatrix_core."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("hackmatrix_core."))


def files():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def test_every_room_has_its_place():
    assert {room_of(path) for path in files()} == set(ORDER)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_goes_back_up(path):
    allowed = ORDER[: ORDER.index(room_of(path)) + 1]
    assert set(imported_rooms(path)) <= set(allowed)


def test_what_makes_the_rules_fast_does_not_know_the_game():
    for path in (PACKAGE / "game/vectorization").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hackmatrix_core"):
                assert node.module.startswith("hackmatrix_core.game.vectorization"), path
