"""How a state is drawn: the game, which knows nothing of it, asks here; the room `viewing` registers it here.

Nothing is imported for that, so that every import of the package can come by here.
"""

from collections.abc import Callable
from typing import Any

Drawer = Callable[[Any], Any]
"""Draws a `GameState`, of one game or of a batch; None where it cannot."""
_DRAWERS: dict[str, Drawer] = {}


def register_drawer(form: str, drawer: Drawer) -> None:
    """Let states be drawn in this form: "repr", "html" (in notebooks), "ansi" or "rgb_array" (for Gymnasium)."""
    _DRAWERS[form] = drawer


def draw(state: Any, form: str) -> Any:
    """The state in this form; None without a drawer for it."""
    return _DRAWERS[form](state) if form in _DRAWERS else None
