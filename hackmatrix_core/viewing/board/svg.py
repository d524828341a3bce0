"""The board as SVG, for notebooks, pages and files."""

from collections.abc import Iterable
from html import escape

import jax
import numpy as np

from hackmatrix_core.game import GameState
from hackmatrix_core.viewing.board.shapes import HEIGHT, LEGEND_VIEW, Shape, View, drawing, ground, legend_shapes

_SHOWN = 4  # games of a batch


def svg(state: GameState, legend: bool = True) -> str:
    """The board and what is shown next to it as one SVG element with its own background.

    Args:
        state: one game.
        legend: with the legend at the right.

    Raises:
        ValueError: the state is a batch.
    """
    return _svg(*drawing(state, legend), "HackMatrix board")


def legend() -> str:
    """The legend alone, as one SVG element of its own."""
    return _svg([*ground(), *legend_shapes()], LEGEND_VIEW, "legend")


def html(state: GameState) -> str | None:
    """What a notebook shows for a state: its board, and beside or below it the legend.

    For a batch these are the boards of the first four; None (its text) while it is traced.
    """
    if isinstance(state.hp, jax.core.Tracer):
        return None
    shape = np.shape(state.hp)
    if not shape:
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{svg(state, legend=False)}{legend()}</div>'
    places = list(np.ndindex(shape))
    first = [jax.tree.map(lambda x: np.asarray(x)[place], state) for place in places[:_SHOWN]]  # noqa: B023
    boards = "".join(svg(game, legend=False) for game in first)
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:8px"
    return f'<p>{len(places):,} games, the first {len(first)}:</p><div style="{grid}">{boards}</div>'


def elements(shapes: Iterable[Shape]) -> str:
    """The shapes as elements of an SVG."""
    parts = []
    for shape in shapes:
        attributes = " ".join(f'{name}="{value}"' for name, value in shape.attributes.items())
        words = escape(shape.words) if shape.tag == "text" else f"<title>{escape(shape.words)}</title>"
        parts.append(f"<{shape.tag} {attributes}" + (f">{words}</{shape.tag}>" if shape.words else "/>"))
    return "".join(parts)


def view_box(view: View) -> str:
    """A view as an SVG says it."""
    left, right = view
    return f"{left} 0 {right - left} {HEIGHT}"


def _svg(shapes: Iterable[Shape], view: View, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view_box(view)}" width="{view[1] - view[0]}" '
        f'style="max-width:100%;height:auto;font-family:sans-serif" role="img" aria-label="{label}">'
        f"{elements(shapes)}</svg>"
    )
