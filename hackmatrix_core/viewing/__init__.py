"""What people look at: boards as text, SVG and picture, recorded games, and the player that replays them.

The game knows none of this. A state draws itself, as the last line of a notebook cell or by `repr`, because this room
registers here how it is drawn.
"""

import importlib
from typing import TYPE_CHECKING, Any

import lazy_loader

from hackmatrix_core.drawers import register_drawer

if TYPE_CHECKING:
    from hackmatrix_core.game import GameState


def _register(form: str, module: str, function: str) -> None:
    def draw(state: "GameState") -> Any:
        # Imported when something is drawn: every import of the package comes by here.
        return getattr(importlib.import_module(f"hackmatrix_core.viewing.{module}"), function)(state)

    register_drawer(form, draw)


_register("repr", "text", "summary")
_register("html", "svg", "html")
_register("ansi", "text", "text")
_register("rgb_array", "plot", "rgb_array")

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["rendering"])
