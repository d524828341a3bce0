"""The board as text, as SVG and as a picture, and whole games in a player."""

from typing import TYPE_CHECKING

from hackmatrix_core.viewing.replay import Replay, replay
from hackmatrix_core.viewing.svg import svg
from hackmatrix_core.viewing.text import text

if TYPE_CHECKING:
    from hackmatrix_core.viewing.plot import legend, picture, rgb_array

__all__ = ["Replay", "legend", "picture", "replay", "rgb_array", "svg", "text"]


def __getattr__(name: str) -> object:
    if name not in ("legend", "picture", "rgb_array"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hackmatrix_core.viewing import plot  # brings matplotlib along, which takes a second

    return getattr(plot, name)
