"""The board as text, as SVG and as a picture, and whole games in a player."""

from typing import TYPE_CHECKING

from hackmatrix_core.viewing.board.svg import svg
from hackmatrix_core.viewing.board.text import text
from hackmatrix_core.viewing.replay import Replay, replay

if TYPE_CHECKING:
    from hackmatrix_core.viewing.board.picture import legend, picture, rgb_array

__all__ = ["Replay", "legend", "picture", "replay", "rgb_array", "svg", "text"]


def __getattr__(name: str) -> object:
    if name not in ("legend", "picture", "rgb_array"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hackmatrix_core.viewing.board import picture  # brings matplotlib along, which takes a second

    return getattr(picture, name)
