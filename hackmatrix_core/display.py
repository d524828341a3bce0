"""How a state shows itself: the game does not know the room `viewing`, which is looked up when something is drawn."""

import importlib
from typing import Any

_DRAWERS = {"repr": "text.summary", "html": "svg.html", "ansi": "text.text", "rgb_array": "picture.rgb_array"}


def draw(state: Any, form: str) -> Any:
    """A `GameState` as "repr", as "html" (for notebooks), or as "ansi" or "rgb_array" (for Gymnasium)."""
    module, function = _DRAWERS[form].split(".")
    return getattr(importlib.import_module(f"hackmatrix_core.viewing.board.{module}"), function)(state)
