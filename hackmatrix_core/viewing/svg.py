"""The board as SVG, for notebooks, pages and files."""

from collections.abc import Iterable
from html import escape

import jax
import numpy as np

from hackmatrix_core.game import GameState
from hackmatrix_core.viewing.drawing import HEIGHT, WIDTH, Circle, Polygon, Rect, Shape, Words, drawing
from hackmatrix_core.viewing.scene import scene

_SHOWN = 4  # games of a batch


def svg(state: GameState) -> str:
    """The board, what is shown next to it, and the legend, as one SVG element with its own background.

    Args:
        state: one game.

    Raises:
        ValueError: the state is a batch.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'style="max-width:100%;height:auto;font-family:sans-serif" role="img" aria-label="HackMatrix board">'
        f"{elements(drawing(scene(state)))}</svg>"
    )


def html(state: GameState) -> str | None:
    """What a notebook shows for a state: its SVG; for a batch the first four; None (its text) while it is traced."""
    if isinstance(state.hp, jax.core.Tracer):
        return None
    shape = np.shape(state.hp)
    if not shape:
        return svg(state)
    rank, games = len(shape), int(np.prod(shape))
    first = jax.tree.map(lambda x: np.asarray(x).reshape(games, *x.shape[rank:])[:_SHOWN], state)
    boards = "".join(svg(jax.tree.map(lambda x: x[i], first)) for i in range(min(games, _SHOWN)))  # noqa: B023
    grid = "display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px"
    return f'<p>{games:,} games, the first {min(games, _SHOWN)}:</p><div style="{grid}">{boards}</div>'


def elements(shapes: Iterable[Shape]) -> str:
    """The shapes as elements of an SVG."""
    return "".join(map(_element, shapes))


def _element(shape: Shape) -> str:
    if isinstance(shape, Words):
        weight = ' font-weight="bold"' if shape.bold else ""
        return (
            f'<text x="{shape.x:g}" y="{shape.y:g}" font-size="{shape.size:g}" fill="{shape.fill}" '
            f'text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'
        )
    dash = ' stroke-dasharray="4 3"' if shape.dashed else ""
    paint = f'fill="{shape.fill}" stroke="{shape.stroke}" stroke-width="1.5"{dash}'
    if isinstance(shape, Circle):
        return f'<circle cx="{shape.x:g}" cy="{shape.y:g}" r="{shape.radius:g}" {paint}/>'
    if isinstance(shape, Polygon):
        points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
        return f'<polygon points="{points}" {paint}/>'
    box = f'x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" height="{shape.height:g}"'
    tip = f"<title>{escape(shape.tip)}</title>" if shape.tip else ""
    return f"<rect {box} {paint}>{tip}</rect>" if isinstance(shape, Rect) else ""
