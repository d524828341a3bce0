"""The board as a matplotlib picture, and as pixels."""

import base64
import html
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hackmatrix_core.game import GameState
from hackmatrix_core.viewing.board.shapes import HEIGHT, LEGEND_VIEW, Shape, View, drawing, legend_shapes
from hackmatrix_core.viewing.figures import Picture, png
from hackmatrix_core.viewing.palette import PALETTE

_DPI = 100
_POINTS = 72 / _DPI  # a pixel in points


def picture(state: GameState, ax: Axes | None = None, *, legend: bool = True) -> Figure:
    """The board and what is shown next to it.

    Args:
        state: one game.
        ax: where to draw; default a new figure.
        legend: with the legend at the right.

    Returns:
        The figure that was drawn on.

    Raises:
        ValueError: the state is a batch.
    """
    return _drawn(*drawing(state, legend), ax)


def legend() -> Figure:
    """The legend alone: narrow enough for a phone."""
    return _drawn(legend_shapes(), LEGEND_VIEW, None)


def rgb_array(state: GameState) -> np.ndarray:
    """The picture as pixels: uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(picture(state))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def still(state: GameState, description: str) -> str:
    """The picture without the legend as an image element of HTML, for where nothing else can be shown."""
    data = base64.b64encode(png(picture(state, legend=False))).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(description)}" style="max-width:100%">'


def _drawn(shapes: Iterable[Shape], view: View, ax: Axes | None) -> Figure:
    if ax is None:
        size = (view[1] - view[0]) / _DPI, HEIGHT / _DPI
        ax = Picture(figsize=size, dpi=_DPI, facecolor=PALETTE["panel"]).add_axes((0, 0, 1, 1))
    ax.set(xlim=view, ylim=(HEIGHT, 0), aspect="equal")
    ax.axis("off")
    for shape in shapes:
        _paint(shape, ax)
    return ax.figure.get_figure(root=True)


def _paint(shape: Shape, ax: Axes) -> None:
    look = shape.attributes

    def numbers(*names: str) -> list[float]:
        return [float(look[name]) for name in names]

    if shape.tag == "text":
        x, y, size = numbers("x", "y", "font-size")
        flush, weight = "left" if look["text-anchor"] == "start" else "center", look.get("font-weight", "normal")
        ax.text(x, y, shape.words, size=size * _POINTS, color=look["fill"], ha=flush, weight=weight, clip_on=True)
        return
    style: dict[str, Any] = {
        "facecolor": look["fill"],
        "edgecolor": look["stroke"],
        "linewidth": float(look["stroke-width"]) * _POINTS,
        "linestyle": (0, (4, 3)) if "stroke-dasharray" in look else "solid",
    }
    if shape.tag == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        patch: patches.Patch = patches.Circle((x, y), radius, **style)
    elif shape.tag == "polygon":
        patch = patches.Polygon([tuple(map(float, corner.split(","))) for corner in look["points"].split()], **style)
    else:
        x, y, width, height = numbers("x", "y", "width", "height")
        patch = patches.Rectangle((x, y), width, height, **style)
    ax.add_patch(patch)
