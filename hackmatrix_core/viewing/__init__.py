"""What people look at: boards as text, SVG and picture, recorded games, and the player that replays them.

The game knows none of this. A state draws itself, as the last line of a notebook cell or by `repr`, because this room
registers here how it is drawn.
"""

from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import register_formatter


def _as_text(state: GameState) -> str | None:
    from hackmatrix_core.viewing import text  # when it is asked for: every import of the package comes by here

    return text.summary(state)


def _as_html(state: GameState) -> str | None:
    from hackmatrix_core.viewing import svg

    return svg.html(state)


register_formatter("text/plain", _as_text)
register_formatter("text/html", _as_html)
