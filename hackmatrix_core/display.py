"""How a state shows itself: the game does not know the room `viewing`, which is looked up when something is drawn."""

import pkgutil
from typing import Any

_DRAWERS = {"repr": "text:summary", "html": "svg:html", "ansi": "text:text", "rgb_array": "picture:rgb_array"}


def draw(state: Any, form: str) -> Any:
    """A `GameState` as "repr", as "html" (for notebooks), or as "ansi" or "rgb_array" (for Gymnasium)."""
    return pkgutil.resolve_name(f"hackmatrix_core.viewing.board.{_DRAWERS[form]}")(state)
