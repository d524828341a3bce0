"""What people look at: boards as text, SVG and picture, recorded games, the player that replays them, and charts."""

import lazy_loader

# For `hm.rendering`: whoever wants a chart or a table need not wait for the board.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["rendering"])
