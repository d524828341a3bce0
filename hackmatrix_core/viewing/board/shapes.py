"""The board as shapes: how it is drawn. A shape is an element of SVG, as data that a picture paints too."""

from collections.abc import Iterator
from typing import NamedTuple

from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.viewing.board import contents
from hackmatrix_core.viewing.board.contents import Cell, Entity
from hackmatrix_core.viewing.palette import PALETTE

_CELL = 84  # side of a cell; all lengths are pixels of the SVG
_LEFT, _TOP = 34, 16
PANEL = _LEFT + BOARD_SIZE * _CELL + 24
_LINE = 23
_SAMPLE = 0.54  # size of a cell in the legend
_LEGEND_LEFT, _LEGEND_LINE, _LEGEND_COLUMN = PANEL + 240, 51, 184
_WIDTH = _LEGEND_LEFT + 2 * _LEGEND_COLUMN
_MARGIN = 16  # of the legend, where it stands alone
HEIGHT = _TOP + BOARD_SIZE * _CELL + 34
View = tuple[int, int]
"""The left and the right edge of what is shown."""
BOARD_VIEW, LEGEND_VIEW, WHOLE_VIEW = (0, _LEGEND_LEFT), (_LEGEND_LEFT - _MARGIN, _WIDTH), (0, _WIDTH)
# Where those on a cell stand, and their size: one, two, up to four. More are counted in words.
_PLACES = (((42, 48),), 1.0), (((22, 48), (62, 48)), 0.9), (((24, 34), (62, 34), (24, 60), (62, 60)), 0.66)


class Shape(NamedTuple):
    """An element of SVG: `rect`, `circle`, `polygon` or `text`."""

    tag: str
    attributes: dict[str, str]
    words: str = ""
    """Of a text; of a rectangle its tooltip."""


def drawing(state: GameState, legend: bool) -> tuple[list[Shape], View]:
    """The board of one game and what stands beside it, from back to front, with or without the legend.

    Raises:
        ValueError: the state is a batch.
    """
    board = [*ground(), *(shape for piece in pieces(state) for shape in piece)]
    return ([*board, *legend_shapes()], WHOLE_VIEW) if legend else (board, BOARD_VIEW)


def ground() -> Iterator[Shape]:
    """What is the same in every game but the legend: the panel, and the numbers of rows and columns."""
    yield _rect(0, 0, _WIDTH, HEIGHT, _paint("panel"))
    for i in range(BOARD_SIZE):
        middle = (i + 0.5) * _CELL
        yield _text(_LEFT - 14, _TOP + BOARD_SIZE * _CELL - middle + 5, str(i), 14, "faint", "middle")
        yield _text(_LEFT + middle, _TOP + BOARD_SIZE * _CELL + 20, str(i), 14, "faint", "middle")


def pieces(state: GameState) -> Iterator[tuple[Shape, ...]]:
    """What one game shows, in pieces that change on their own: each cell, each number, each program."""
    game = contents.read(state)
    for cell in contents.cells(game):
        x, y = _LEFT + cell["col"] * _CELL, _TOP + (BOARD_SIZE - 1 - cell["row"]) * _CELL
        yield tuple(_cell(cell, x, y, 1.0))
    y = _TOP + 14
    for pairs in contents.status(game):
        for i, (label, value) in enumerate(pairs):
            value_x = PANEL + i * 122 + (72 if len(pairs) > 1 else 94)
            yield _text(PANEL + i * 114, y, label, 14, "faint"), _text(value_x, y, value, 15, "ink", bold=True)
        y += _LINE
    for i, (name, cost) in enumerate(game["programs"]):
        x, line = PANEL + i % 2 * 114, y + 8 + i // 2 * _LINE
        yield _text(x, line, name, 14, "ink", bold=True), _text(x + 52, line, cost, 13, "faint")


def legend_shapes() -> Iterator[Shape]:
    """The legend, at the right."""
    for i, (cell, words) in enumerate(contents.LEGEND):
        x, y = _LEGEND_LEFT + i // 10 * _LEGEND_COLUMN, _TOP + i % 10 * _LEGEND_LINE
        yield from _cell(cell, x, y, _SAMPLE)
        yield _text(x + _CELL * _SAMPLE + 8, y + 27, words, 13, "faint")


def _cell(cell: Cell, x: float, y: float, scale: float) -> Iterator[Shape]:
    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * scale, y + dy * scale

    def words(dx: float, dy: float, text: str, size: float, color: str) -> Shape:
        return _text(*at(dx, dy), text, size * scale, color, "middle", bold=True)

    side, block, item = _CELL * scale, cell.get("block"), cell["item"]
    ground = f"{block['kind']} block" if block else "cell"
    yield _rect(x, y, side, side, _paint(ground, "line"), contents.words(cell))
    if "siphoned" in cell:
        inset = 4 * scale
        inner, paint = side - 2 * inset, _paint(stroke="siphoned", dashed=True)
        yield _rect(x + inset, y + inset, inner, inner, paint)
    if "siphon_center" in cell:
        yield _circle(*at(_CELL / 2, _CELL / 2), 36 * scale, _paint(stroke="siphoned"))
    if block:
        yield words(_CELL / 2, 20, f"{contents.label(block)}{' ?' if block['hidden'] else ''}", 16, "ink")
        if block["spawn"]:
            yield words(_CELL - 14, _CELL - 8, f"+{block['spawn']}", 13, "spawn")
    if item == "data siphon":
        corners = (at(*corner) for corner in ((67, 4), (80, 17), (67, 30), (54, 17)))
        points = " ".join(f"{x:g},{y:g}" for x, y in corners)
        yield Shape("polygon", {"points": points} | _paint("data siphon"))
    elif item:
        dashed = item != "exit"
        yield _rect(*at(34, 5), 46 * scale, 20 * scale, _paint("" if dashed else "exit", "exit", dashed))
        yield words(57, 20, "EXIT", 15, "exit" if dashed else "dark")
    for name, amount in contents.resources(cell):
        yield words(15, _CELL - 8, f"{amount}{name[0]}", 14, name)
    here = cell["here"]
    places, size = next((each for each in _PLACES if len(each[0]) >= len(here)), _PLACES[-1])
    for entity, (dx, dy) in zip(here, places, strict=False):
        yield from _entity(entity, *at(dx, dy), scale * size)
    if len(here) > len(places):
        yield words(_CELL / 2, _CELL - 6, f"{len(here)} here", 12, "ink")


def _entity(entity: Entity, x: float, y: float, scale: float) -> Iterator[Shape]:
    name, radius, unseen = entity["type"], 16 * scale, entity.get("unseen", False)
    fill, ink = ("cell", name) if unseen or "turns" in entity else (name, "dark")
    if name == "player":
        yield _circle(x, y, radius, _paint(fill, "dark"))
    elif "turns" in entity:
        yield _circle(x, y, 1.1 * radius, _paint(fill, name, dashed=True))
    else:
        half = radius * 0.92
        yield _rect(x - half, y - half, 2 * half, 2 * half, _paint(fill, name, dashed=unseen))
    yield _text(x, y + 5.5 * scale, contents.sign(entity), 15 * scale, ink, "middle", bold=True)
    if marks := contents.marks(entity):
        yield _text(x, y - 19 * scale, marks, 14 * scale, "ink", "middle", bold=True)


def _rect(x: float, y: float, width: float, height: float, paint: dict[str, str], tip: str = "") -> Shape:
    """With (x, y) for its upper left corner."""
    return Shape("rect", _numbers(x=x, y=y, width=width, height=height) | paint, tip)


def _circle(x: float, y: float, radius: float, paint: dict[str, str]) -> Shape:
    return Shape("circle", _numbers(cx=x, cy=y, r=radius) | paint)


def _text(x: float, y: float, words: str, size: float, color: str, anchor: str = "start", bold: bool = False) -> Shape:
    """One line; y is its base line, `anchor` start or middle."""
    style = {"font-size": f"{size:g}", "fill": PALETTE[color], "text-anchor": anchor}
    return Shape("text", _numbers(x=x, y=y) | style | ({"font-weight": "bold"} if bold else {}), words)


def _numbers(**numbers: float) -> dict[str, str]:
    return {name: f"{number:g}" for name, number in numbers.items()}


def _paint(fill: str = "", stroke: str = "", dashed: bool = False) -> dict[str, str]:
    """How a shape is filled and outlined, with colours of the palette."""
    colors = {"fill": PALETTE[fill] if fill else "none", "stroke": PALETTE[stroke] if stroke else "none"}
    return colors | {"stroke-width": "1.5"} | ({"stroke-dasharray": "4 3"} if dashed else {})
