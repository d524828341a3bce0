"""The board as shapes: the one place that knows how it is drawn. SVG and picture paint the same shapes."""

from collections.abc import Iterator
from typing import NamedTuple

from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.viewing.scene import LEGEND, PALETTE, Being, Cell, Scene

CELL = 84  # side of a cell; all lengths are pixels of the SVG
_LEFT, _TOP = 34, 16
_PANEL = _LEFT + BOARD_SIZE * CELL + 24
LEGEND_LEFT = _PANEL + 240
_LINE = 23
_SAMPLE = 0.54  # size of a cell in the legend
_LEGEND_LINE, _LEGEND_COLUMN = 51, 184
MARGIN = 16  # of the legend, where it stands alone
WIDTH, HEIGHT = LEGEND_LEFT + 2 * _LEGEND_COLUMN, _TOP + BOARD_SIZE * CELL + 34
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


def drawing(shown: Scene) -> list[Shape]:
    """All shapes from back to front, on a canvas of `WIDTH` × `HEIGHT`."""
    return [*ground(), *(shape for piece in pieces(shown) for shape in piece), *legend()]


def ground() -> Iterator[Shape]:
    """What is the same in every game but the legend: the panel, and the numbers of rows and columns."""
    yield Rect(0, 0, WIDTH, HEIGHT, PALETTE["panel"])
    for i in range(BOARD_SIZE):
        middle = (i + 0.5) * CELL
        yield Words(_LEFT - 14, _TOP + BOARD_SIZE * CELL - middle + 5, str(i), 14, PALETTE["faint"], "middle")
        yield Words(_LEFT + middle, _TOP + BOARD_SIZE * CELL + 20, str(i), 14, PALETTE["faint"], "middle")


def pieces(shown: Scene) -> Iterator[tuple[Shape, ...]]:
    """What one game shows, in pieces that change on their own: each cell, each number, each program."""
    for cell in shown.cells():
        x, y = _LEFT + cell.col * CELL, _TOP + (BOARD_SIZE - 1 - cell.row) * CELL
        yield tuple(_cell(cell, x, y, 1.0))
    y = _TOP + 14
    for pairs in shown.status:
        for i, (label, value) in enumerate(pairs):
            value_x = _PANEL + i * 122 + (72 if len(pairs) > 1 else 94)
            yield (
                Words(_PANEL + i * 114, y, label, 14, PALETTE["faint"]),
                Words(value_x, y, value, 15, PALETTE["ink"], bold=True),
            )
        y += _LINE
    for i, (name, cost) in enumerate(shown.programs):
        x, line = _PANEL + i % 2 * 114, y + 8 + i // 2 * _LINE
        yield Words(x, line, name, 14, PALETTE["ink"], bold=True), Words(x + 52, line, cost, 13, PALETTE["faint"])


def legend() -> Iterator[Shape]:
    """The legend, at the right."""
    for i, (cell, words) in enumerate(LEGEND):
        x, y = LEGEND_LEFT + i // 10 * _LEGEND_COLUMN, _TOP + i % 10 * _LEGEND_LINE
        yield from _cell(cell, x, y, _SAMPLE)
        yield Words(x + CELL * _SAMPLE + 8, y + 27, words, 13, PALETTE["faint"])


def _cell(cell: Cell, x: float, y: float, scale: float) -> Iterator[Shape]:
    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * scale, y + dy * scale

    def words(dx: float, dy: float, text: str, size: float, color: str, bold: bool = True) -> Words:
        return Words(*at(dx, dy), text, size * scale, PALETTE[color], "middle", bold)

    side = CELL * scale
    ground = PALETTE[cell.block.kind] if cell.block else PALETTE["cell"]
    yield Rect(x, y, side, side, ground, PALETTE["line"], tip=cell.words)
    if cell.siphoned:
        inset = 4 * scale
        yield Rect(x + inset, y + inset, side - 2 * inset, side - 2 * inset, "none", PALETTE["siphoned"], True)
    if cell.siphon_center:
        yield Circle(*at(CELL / 2, CELL / 2), 36 * scale, "none", PALETTE["siphoned"])
    if cell.block:
        yield words(CELL / 2, 20, f"{cell.block.label}{' ?' if cell.block.hidden else ''}", 16, "ink")
        if cell.block.spawn:
            yield words(CELL - 14, CELL - 8, f"+{cell.block.spawn}", 13, "spawn")
    if cell.item == "data siphon":
        yield Polygon(tuple(at(*p) for p in ((67, 4), (80, 17), (67, 30), (54, 17))), PALETTE["data siphon"])
    elif cell.item:
        dashed = cell.item != "exit"
        fill = "none" if dashed else PALETTE["exit"]
        yield Rect(*at(34, 5), 46 * scale, 20 * scale, fill, PALETTE["exit"], dashed)
        yield words(57, 20, "EXIT", 15, "exit" if dashed else "dark")
    for name, amount in cell.resources:
        yield words(15, CELL - 8, f"{amount}{name[0]}", 14, name)
    places, size = next((each for each in _PLACES if len(each[0]) >= len(cell.beings)), _PLACES[-1])
    for being, (dx, dy) in zip(cell.beings, places, strict=False):
        yield from _being(being, *at(dx, dy), scale * size)
    if len(cell.beings) > len(places):
        yield words(CELL / 2, CELL - 6, f"{len(cell.beings)} here", 12, "ink")


def _being(being: Being, x: float, y: float, scale: float) -> Iterator[Shape]:
    color, radius = PALETTE[being.name], 16 * scale
    fill, ink = (PALETTE["cell"], color) if being.unseen or being.kind == "transmission" else (color, PALETTE["dark"])
    if being.kind == "player":
        yield Circle(x, y, radius, fill, PALETTE["dark"])
    elif being.kind == "transmission":
        yield Circle(x, y, 1.1 * radius, fill, color, True)
    else:
        half = radius * 0.92
        yield Rect(x - half, y - half, 2 * half, 2 * half, fill, color, being.unseen)
    number = being.turns if being.kind == "transmission" else being.hp
    yield Words(x, y + 5.5 * scale, f"{being.letter}{number}", 15 * scale, ink, "middle", True)
    marks = "*" * being.stunned + (f"z{being.disabled}" if being.disabled else "") + "°" * being.from_siphon
    if marks:
        yield Words(x, y - 19 * scale, marks, 14 * scale, PALETTE["ink"], "middle", True)
