"""The board as text, 80 columns wide, for terminals, logs and tests."""

import functools
import textwrap
from itertools import zip_longest

import jax
import numpy as np

from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.viewing.scene import LEGEND, PALETTE, Being, Cell, Scene, scene

_WIDTH = 8  # of a cell
_PANEL_COLUMN = 11
_ITEMS = {"exit": "EXIT", "data siphon": "SIPH", "exit position": "exit"}

Token = tuple[str, str, bool]
"""A piece of text, its colour in the palette, and whether it is bold."""


def text(state: GameState, color: bool = True, legend: bool = True) -> str:
    """The board and everything next to it as lines of text: 20, and those of the legend.

    Args:
        state: one game.
        color: with ANSI escapes for 256 colours.
        legend: with the meaning of the signs below.

    Raises:
        ValueError: the state is a batch.
    """
    shown = scene(state)
    blank: list[Token] = []
    lines = [
        [*left, (" ", "ink", False), *(right or [])]
        for left, right in zip_longest(_board(shown), _panel(shown), fillvalue=blank)
    ]
    width = max(map(_length, lines))
    lines += [[(line, "ink", False)] for line in _crowds(shown, width)]
    if legend:
        lines += _legend(width)
    return "\n".join(_painted(line, width) if color else _plain(line) for line in lines)


def summary(state: GameState) -> str:
    """What `repr` shows of a state: its board without colours, and of a batch, or while it is traced, its shape."""
    shape = np.shape(state.hp)
    if shape or isinstance(state.hp, jax.core.Tracer) or not isinstance(state.hp, jax.Array | np.ndarray | np.generic):
        batch = f"a batch of shape {shape}" if shape else "one game, traced"
        return f"GameState({batch})"
    return text(state, color=False, legend=False)


def _board(shown: Scene) -> list[list[Token]]:
    def ruler(left: str, middle: str, right: str) -> list[Token]:
        return [(f" {left}{middle.join(['─' * _WIDTH] * BOARD_SIZE)}{right}", "line", False)]

    lines = [ruler("┌", "┬", "┐")]
    for row in reversed(shown.rows):
        upper: list[Token] = [(str(row[0].row), "faint", False)]
        lower: list[Token] = [(" ", "faint", False)]
        for cell in row:
            for line, tokens in zip((upper, lower), _cell_lines(cell)[0], strict=True):
                line += [("│", "line", False), *tokens]
        lines += [[*line, ("│", "line", False)] for line in (upper, lower)]
        lines.append(ruler("├", "┼", "┤") if row[0].row else ruler("└", "┴", "┘"))
    columns = "".join(f" {col:^{_WIDTH}}" for col in range(BOARD_SIZE))
    return [*lines, [(f" {columns} ", "faint", False)]]


def _cell_lines(cell: Cell) -> tuple[tuple[list[Token], list[Token]], bool]:
    """The two lines of a cell, and whether everything fits: the ground above, who is on it below."""
    lines: tuple[list[Token], list[Token]] = ([], [])
    waiting = [(0, token) for token in _ground(cell)] + [(1, token) for token in map(_being, cell.beings)]
    fits = True
    for first, token in waiting:
        for line in lines[first:]:
            if _length(line) + bool(line) + len(token[0]) <= _WIDTH:
                line += [(" ", "ink", False), token] if line else [token]
                break
        else:
            fits = False
    if not fits:
        below = lines[1]
        while below and _length(below) > _WIDTH - 1:
            below.pop()
        below.append(("…", "ink", True))
    fill = ("▒" if cell.block else " ", cell.block.kind if cell.block else "ink", False)
    for line in lines:
        line.append((fill[0] * (_WIDTH - _length(line)), *fill[1:]))
    return lines, fits


def _ground(cell: Cell) -> list[Token]:
    tokens: list[Token] = []
    if cell.block:
        spawn = f"+{cell.block.spawn}" if cell.block.spawn else ""
        tokens.append((f"{cell.block.label}{spawn}", "faint" if cell.block.hidden else "ink", True))
        tokens += [("?", "ink", True)] if cell.block.hidden else []
    if cell.item:
        tokens.append((_ITEMS[cell.item], cell.item.removesuffix(" position"), True))
    tokens += [(f"{amount}{name[0]}", name, False) for name, amount in cell.resources]
    if cell.siphoned or cell.siphon_center:
        tokens.append(("×" * cell.siphoned + "◎" * cell.siphon_center, "siphoned", True))
    return tokens


def _being(being: Being) -> Token:
    if being.kind == "transmission":
        sign = f"»{being.letter}{being.turns}"
    else:
        sign = f"{being.letter}{being.hp}"
    sign += "*" * being.stunned + (f"z{being.disabled}" if being.disabled else "") + "°" * being.from_siphon
    return (f"({sign})" if being.unseen else sign, being.name, not being.unseen)


def _panel(shown: Scene) -> list[list[Token]]:
    lines: list[list[Token]] = []
    for pairs in shown.status:
        line: list[Token] = []
        for label, value in pairs:
            width = _PANEL_COLUMN + 1 if len(pairs) > 1 and not line else 0
            line += [(f"{label} ", "faint", False), (value.ljust(width - len(label) - 1), "ink", True)]
        lines.append(line)
    for i in range(0, len(shown.programs), 2):
        line = []
        for name, cost in shown.programs[i : i + 2]:
            price = cost.replace(" ", "")
            line += [(" " * bool(line) + f"{name:6} ", "ink", False), (f"{price:4}", "faint", False)]
        lines.append(line)
    return lines


def _crowds(shown: Scene, width: int) -> list[str]:
    """In words: the cells that have more on them than there is room for."""
    crowded = [cell.words for cell in shown.cells() if not _cell_lines(cell)[1]]
    return [line for words in crowded for line in textwrap.wrap(f"… {words}", width, subsequent_indent="  ")]


def _legend(width: int) -> list[list[Token]]:
    lines: list[list[Token]] = []
    for cell, words in LEGEND:
        entry: list[Token] = [*_ground(cell), *map(_being, cell.beings)]
        entry = [token for sign in entry for token in (sign, (" ", "ink", False))]
        entry[-1:] = [(f" {words}  ", "faint", False)]
        if not lines or _length(lines[-1]) + _length(entry) > width + 2:
            lines.append([])
        lines[-1] += entry
    return lines


def _length(line: list[Token]) -> int:
    return sum(len(token[0]) for token in line)


def _plain(line: list[Token]) -> str:
    return "".join(token[0] for token in line).rstrip()


def _painted(line: list[Token], width: int) -> str:
    background = f"48;5;{_color_number('panel')}"
    words = "".join(
        f"\x1b[{'1' if bold else '22'};38;5;{_color_number(name)}m{word}" for word, name, bold in line if word
    )
    return f"\x1b[0;{background}m{words}{' ' * (width - _length(line))}\x1b[0m"


@functools.cache
def _color_number(name: str) -> int:
    """The nearest of the 256 colours: a grey, or one of the 6 × 6 × 6 cube."""
    red, green, blue = (int(PALETTE[name][i : i + 2], 16) for i in (1, 3, 5))
    levels = (0, 95, 135, 175, 215, 255)
    indices = [min(range(6), key=lambda i: abs(levels[i] - part)) for part in (red, green, blue)]
    grey = max(0, min(23, round(((red + green + blue) / 3 - 8) / 10)))

    def distance(other: list[int]) -> int:
        return sum((a - b) ** 2 for a, b in zip((red, green, blue), other, strict=True))

    if distance([8 + 10 * grey] * 3) < distance([levels[i] for i in indices]):
        return 232 + grey
    return 16 + 36 * indices[0] + 6 * indices[1] + indices[2]
