"""The board as text, as SVG and as a picture, and whole games in a player."""

import lazy_loader

from hackmatrix_core.viewing.board.svg import svg as svg
from hackmatrix_core.viewing.board.text import text as text
from hackmatrix_core.viewing.replay import Replay as Replay
from hackmatrix_core.viewing.replay import replay as replay

# The picture brings matplotlib along, which takes a second.
_LAZY = {"board.picture": ["legend", "picture", "rgb_array"]}
__getattr__, __dir__, __all__ = lazy_loader.attach("hackmatrix_core.viewing", submod_attrs=_LAZY)
