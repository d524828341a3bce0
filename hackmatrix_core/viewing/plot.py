"""The board as a matplotlib picture, and as pixels."""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hackmatrix_core.game import GameState
from hackmatrix_core.viewing.drawing import (
    HEIGHT,
    LEGEND_LEFT,
    MARGIN,
    WIDTH,
    Circle,
    Polygon,
    Shape,
    Words,
    drawing,
    ground,
    pieces,
)
from hackmatrix_core.viewing.drawing import legend as shapes_of_legend
from hackmatrix_core.viewing.scene import PALETTE, scene

_DPI = 100
_POINTS = 72 / _DPI  # a pixel in points


class Picture(Figure):
    """A figure that a notebook shows even before pyplot has set it up to show figures."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


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
    shown = scene(state)
    shapes = drawing(shown) if legend else [*ground(), *(shape for piece in pieces(shown) for shape in piece)]
    return _drawn(shapes, 0, WIDTH if legend else LEGEND_LEFT, ax)


def legend() -> Figure:
    """The legend alone: narrow enough for a phone."""
    return _drawn(shapes_of_legend(), LEGEND_LEFT - MARGIN, WIDTH, None)


def _drawn(shapes: Iterable[Shape], left: float, right: float, ax: Axes | None) -> Figure:
    if ax is None:
        figure = Picture(figsize=((right - left) / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor=PALETTE["panel"])
        ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(HEIGHT, 0), aspect="equal")
    ax.axis("off")
    for shape in shapes:
        _paint(shape, ax)
    return ax.figure.get_figure(root=True)


def rgb_array(state: GameState) -> np.ndarray:
    """The picture as pixels: uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(picture(state))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _paint(shape: Shape, ax: Axes) -> None:
    if isinstance(shape, Words):
        ax.text(
            shape.x,
            shape.y,
            shape.text,
            fontsize=shape.size * _POINTS,
            color=shape.fill,
            ha="left" if shape.anchor == "start" else "center",
            va="baseline",
            weight="bold" if shape.bold else "normal",
            clip_on=True,
        )
        return
    style: dict[str, Any] = {
        "facecolor": shape.fill,
        "edgecolor": shape.stroke,
        "linewidth": 1.5 * _POINTS,
        "linestyle": (0, (4, 3)) if shape.dashed else "solid",
    }
    if isinstance(shape, Circle):
        ax.add_patch(patches.Circle((shape.x, shape.y), shape.radius, **style))
    elif isinstance(shape, Polygon):
        ax.add_patch(patches.Polygon(shape.points, **style))
    else:
        ax.add_patch(patches.Rectangle((shape.x, shape.y), shape.width, shape.height, **style))
