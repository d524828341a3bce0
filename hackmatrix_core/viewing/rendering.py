"""The board as text, as SVG and as a picture, and whole games in a player."""

import lazy_loader

from hackmatrix_core.viewing.board.svg import svg
from hackmatrix_core.viewing.board.text import text
from hackmatrix_core.viewing.replay import Replay, replay

# What brings matplotlib along, which takes a second.
_PICTURES = {"board.picture": ["legend", "picture", "rgb_array"]}
__getattr__, _, __all__ = lazy_loader.attach("hackmatrix_core.viewing", submod_attrs=_PICTURES)
__all__ += ["Replay", "replay", "svg", "text"]
