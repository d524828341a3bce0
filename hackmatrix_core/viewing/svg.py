"""The board as SVG, for notebooks, pages and files."""

from collections.abc import Iterable
from html import escape

import jax
import numpy as np

from hackmatrix_core.game import GameState
from hackmatrix_core.viewing.drawing import (
    HEIGHT,
    LEGEND_LEFT,
    MARGIN,
    WIDTH,
    Circle,
    Polygon,
    Rect,
    Shape,
    Words,
    drawing,
    ground,
    pieces,
)
from hackmatrix_core.viewing.drawing import legend as shapes_of_legend
from hackmatrix_core.viewing.scene import scene

_SHOWN = 4  # games of a batch


def svg(state: GameState, legend: bool = True) -> str:
    """The board and what is shown next to it as one SVG element with its own background.

    Args:
        state: one game.
        legend: with the legend at the right.

    Raises:
        ValueError: the state is a batch.
    """
    shown = scene(state)
    shapes = drawing(shown) if legend else [*ground(), *(shape for piece in pieces(shown) for shape in piece)]
    return _element_of(shapes, 0, WIDTH if legend else LEGEND_LEFT, "HackMatrix board")


def legend() -> str:
    """The legend alone, as one SVG element of its own."""
    return _element_of([*ground(), *shapes_of_legend()], LEGEND_LEFT - MARGIN, WIDTH - LEGEND_LEFT + MARGIN, "legend")


def html(state: GameState) -> str | None:
    """What a notebook shows for a state: its board, and beside or below it the legend.

    For a batch these are the boards of the first four; None (its text) while it is traced.
    """
    if isinstance(state.hp, jax.core.Tracer):
        return None
    shape = np.shape(state.hp)
    if not shape:
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{svg(state, legend=False)}{legend()}</div>'
    rank, games = len(shape), int(np.prod(shape))
    first = jax.tree.map(lambda x: np.asarray(x).reshape(games, *x.shape[rank:])[:_SHOWN], state)
    boards = "".join(
        svg(jax.tree.map(lambda x: x[i], first), legend=False)  # noqa: B023
        for i in range(min(games, _SHOWN))
    )
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:8px"
    return f'<p>{games:,} games, the first {min(games, _SHOWN)}:</p><div style="{grid}">{boards}</div>'


def _element_of(shapes: Iterable[Shape], left: float, width: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} 0 {width} {HEIGHT}" width="{width}" '
        f'style="max-width:100%;height:auto;font-family:sans-serif" role="img" aria-label="{label}">'
        f"{elements(shapes)}</svg>"
    )


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
