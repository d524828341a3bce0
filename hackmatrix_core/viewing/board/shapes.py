"""The board as shapes: how it is drawn. SVG and picture paint the same shapes."""

from collections.abc import Iterator
from typing import NamedTuple

from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.viewing.board.contents import (
    LEGEND,
    Cell,
    Entity,
    cells_of,
    contents,
    label_of,
    marks_of,
    programs_of,
    resources_of,
    sign_of,
    status_of,
    words_for,
)
from hackmatrix_core.viewing.palette import PALETTE

_CELL = 84  # side of a cell; all lengths are pixels of the SVG
_LEFT, _TOP = 34, 16
_PANEL = _LEFT + BOARD_SIZE * _CELL + 24
_LINE = 23
_SAMPLE = 0.54  # size of a cell in the legend
_LEGEND_LEFT, _LEGEND_LINE, _LEGEND_COLUMN = _PANEL + 240, 51, 184
_WIDTH = _LEGEND_LEFT + 2 * _LEGEND_COLUMN
_MARGIN = 16  # of the legend, where it stands alone
HEIGHT = _TOP + BOARD_SIZE * _CELL + 34
View = tuple[int, int]
"""The left and the right edge of what is shown."""
BOARD_VIEW, LEGEND_VIEW, WHOLE_VIEW = (0, _LEGEND_LEFT), (_LEGEND_LEFT - _MARGIN, _WIDTH), (0, _WIDTH)
# Where those on a cell stand, and their size: one, two, up to four. More are counted in words.
_PLACES = (((42, 48),), 1.0), (((22, 48), (62, 48)), 0.9), (((24, 34), (62, 34), (24, 60), (62, 60)), 0.66)


class Rect(NamedTuple):
    """A rectangle; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
    dashed: bool = False
    tip: str = ""


class Polygon(NamedTuple):
    """A polygon by its corners."""

    points: tuple[tuple[float, float], ...]
    fill: str
    stroke: str = "none"
    dashed: bool = False


class Circle(NamedTuple):
    """A circle by its centre."""

    x: float
    y: float
    radius: float
    fill: str
    stroke: str = "none"
    dashed: bool = False


class Words(NamedTuple):
    """One line of text; y is its base line, `anchor` start or middle."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    anchor: str = "start"
    bold: bool = False


Shape = Rect | Polygon | Circle | Words


def drawing(state: GameState, legend: bool) -> tuple[list[Shape], View]:
    """The board of one game and what stands beside it, from back to front, with or without the legend.

    Raises:
        ValueError: the state is a batch.
    """
    board = [*ground(), *(shape for piece in pieces(state) for shape in piece)]
    return ([*board, *legend_shapes()], WHOLE_VIEW) if legend else (board, BOARD_VIEW)


def ground() -> Iterator[Shape]:
    """What is the same in every game but the legend: the panel, and the numbers of rows and columns."""
    yield Rect(0, 0, _WIDTH, HEIGHT, PALETTE["panel"])
    for i in range(BOARD_SIZE):
        middle = (i + 0.5) * _CELL
        yield Words(_LEFT - 14, _TOP + BOARD_SIZE * _CELL - middle + 5, str(i), 14, PALETTE["faint"], "middle")
        yield Words(_LEFT + middle, _TOP + BOARD_SIZE * _CELL + 20, str(i), 14, PALETTE["faint"], "middle")


def pieces(state: GameState) -> Iterator[tuple[Shape, ...]]:
    """What one game shows, in pieces that change on their own: each cell, each number, each program."""
    game = contents(state)
    for cell in cells_of(game):
        x, y = _LEFT + cell["col"] * _CELL, _TOP + (BOARD_SIZE - 1 - cell["row"]) * _CELL
        yield tuple(_cell(cell, x, y, 1.0))
    y = _TOP + 14
    for pairs in status_of(game):
        for i, (label, value) in enumerate(pairs):
            value_x = _PANEL + i * 122 + (72 if len(pairs) > 1 else 94)
            yield (
                Words(_PANEL + i * 114, y, label, 14, PALETTE["faint"]),
                Words(value_x, y, value, 15, PALETTE["ink"], bold=True),
            )
        y += _LINE
    for i, (name, cost) in enumerate(programs_of(game)):
        x, line = _PANEL + i % 2 * 114, y + 8 + i // 2 * _LINE
        yield Words(x, line, name, 14, PALETTE["ink"], bold=True), Words(x + 52, line, cost, 13, PALETTE["faint"])


def legend_shapes() -> Iterator[Shape]:
    """The legend, at the right."""
    for i, (cell, words) in enumerate(LEGEND):
        x, y = _LEGEND_LEFT + i // 10 * _LEGEND_COLUMN, _TOP + i % 10 * _LEGEND_LINE
        yield from _cell(cell, x, y, _SAMPLE)
        yield Words(x + _CELL * _SAMPLE + 8, y + 27, words, 13, PALETTE["faint"])


def _cell(cell: Cell, x: float, y: float, scale: float) -> Iterator[Shape]:
    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * scale, y + dy * scale

    def words(dx: float, dy: float, text: str, size: float, color: str) -> Words:
        return Words(*at(dx, dy), text, size * scale, PALETTE[color], "middle", bold=True)

    side, block, item = _CELL * scale, cell.get("block"), cell["item"]
    ground = PALETTE[f"{block['kind']} block" if block else "cell"]
    yield Rect(x, y, side, side, ground, PALETTE["line"], tip=words_for(cell))
    if "siphoned" in cell:
        inset = 4 * scale
        yield Rect(x + inset, y + inset, side - 2 * inset, side - 2 * inset, "none", PALETTE["siphoned"], True)
    if "siphon_center" in cell:
        yield Circle(*at(_CELL / 2, _CELL / 2), 36 * scale, "none", PALETTE["siphoned"])
    if block:
        yield words(_CELL / 2, 20, f"{label_of(block)}{' ?' if block['hidden'] else ''}", 16, "ink")
        if block["spawn"]:
            yield words(_CELL - 14, _CELL - 8, f"+{block['spawn']}", 13, "spawn")
    if item == "data siphon":
        yield Polygon(tuple(at(*p) for p in ((67, 4), (80, 17), (67, 30), (54, 17))), PALETTE["data siphon"])
    elif item:
        dashed = item != "exit"
        fill = "none" if dashed else PALETTE["exit"]
        yield Rect(*at(34, 5), 46 * scale, 20 * scale, fill, PALETTE["exit"], dashed)
        yield words(57, 20, "EXIT", 15, "exit" if dashed else "dark")
    for name, amount in resources_of(cell):
        yield words(15, _CELL - 8, f"{amount}{name[0]}", 14, name)
    here = cell["here"]
    places, size = next((each for each in _PLACES if len(each[0]) >= len(here)), _PLACES[-1])
    for entity, (dx, dy) in zip(here, places, strict=False):
        yield from _entity(entity, *at(dx, dy), scale * size)
    if len(here) > len(places):
        yield words(_CELL / 2, _CELL - 6, f"{len(here)} here", 12, "ink")


def _entity(entity: Entity, x: float, y: float, scale: float) -> Iterator[Shape]:
    color, radius, unseen = PALETTE[entity["type"]], 16 * scale, entity.get("unseen", False)
    fill, ink = (PALETTE["cell"], color) if unseen or "turns" in entity else (color, PALETTE["dark"])
    if entity["type"] == "player":
        yield Circle(x, y, radius, fill, PALETTE["dark"])
    elif "turns" in entity:
        yield Circle(x, y, 1.1 * radius, fill, color, True)
    else:
        half = radius * 0.92
        yield Rect(x - half, y - half, 2 * half, 2 * half, fill, color, unseen)
    yield Words(x, y + 5.5 * scale, sign_of(entity), 15 * scale, ink, "middle", True)
    if marks := marks_of(entity):
        yield Words(x, y - 19 * scale, marks, 14 * scale, PALETTE["ink"], "middle", True)
