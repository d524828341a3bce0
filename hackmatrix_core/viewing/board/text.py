"""The board as text, 80 columns wide, for terminals, logs and tests."""

import io
import textwrap
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.text import Text

from hackmatrix_core.game import GameState
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.viewing.board import contents
from hackmatrix_core.viewing.board.contents import LEGEND, Cell, Entity
from hackmatrix_core.viewing.palette import PALETTE

_WIDTH = 8  # of a cell
_PANEL_COLUMN = 11
_ITEMS = {"exit": "EXIT", "data siphon": "SIPH", "exit position": "exit"}


def text(state: GameState, color: bool = True, legend: bool = True) -> str:
    """The board and everything next to it as lines of text: 20, and those of the legend.

    Args:
        state: one game.
        color: with ANSI escapes, for as many colours as `TERM`, `COLORTERM` and `NO_COLOR` ask for.
        legend: with the meaning of the signs below.

    Raises:
        ValueError: the state is a batch.
    """
    game = contents.read(state)
    lines = [Text(" ").join(pair) for pair in zip_longest(_board(game), _panel(game), fillvalue=Text())]
    width = max(map(len, lines))
    lines += [_word(line) for line in _crowds(game, width)]
    if legend:
        lines += _legend(width)
    if not color:
        return "\n".join(line.plain.rstrip() for line in lines)
    for line in lines:
        line.pad_right(width - len(line))
    console = Console(file=io.StringIO(), force_terminal=True)
    with console.capture() as captured:
        console.print(Text("\n").join(lines), style=f"on {PALETTE['panel']}", end="", soft_wrap=True)
    return captured.get()


def summary(state: GameState) -> str:
    """What `repr` shows of a state: its board without colours, and of a batch, or while it is traced, its shape."""
    shape = np.shape(state.hp)
    if shape or isinstance(state.hp, jax.core.Tracer) or not isinstance(state.hp, jax.Array | np.ndarray | np.generic):
        batch = f"a batch of shape {shape}" if shape else "one game, traced"
        return f"GameState({batch})"
    return text(state, color=False, legend=False)


def _word(word: str, color: str = "ink", bold: bool = False) -> Text:
    return Text(word, f"{'bold ' if bold else ''}{PALETTE[color]}")


def _board(game: Mapping[str, Any]) -> list[Text]:
    def ruler(left: str, middle: str, right: str) -> Text:
        return _word(f" {left}{middle.join(['─' * _WIDTH] * BOARD_SIZE)}{right}", "line")

    lines = [ruler("┌", "┬", "┐")]
    for row in reversed(range(BOARD_SIZE)):
        cells = [_cell_lines(cell)[:2] for cell in game["cells"][row]]
        for start, parts in zip((str(row), " "), zip(*cells, strict=True), strict=True):
            lines.append(_word("│", "line").join([_word(start, "faint"), *parts, Text()]))
        lines.append(ruler("├", "┼", "┤") if row else ruler("└", "┴", "┘"))
    columns = "".join(f" {col:^{_WIDTH}}" for col in range(BOARD_SIZE))
    return [*lines, _word(f" {columns} ", "faint")]


def _cell_lines(cell: Cell) -> tuple[Text, Text, bool]:
    """The two lines of a cell, and whether everything fits: the ground above, who is on it below."""
    lines: tuple[list[Text], list[Text]] = [], []
    waiting = [(0, word) for word in _ground(cell)] + [(1, _entity(entity)) for entity in cell["here"]]
    fits = True
    for first, word in waiting:
        room = [line for line in lines[first:] if _length([*line, word]) <= _WIDTH]
        for line in room[:1]:
            line.append(word)
        fits &= bool(room)
    while not fits and _length(lines[1]) >= _WIDTH:
        lines[1].pop()
    upper, lower = (Text(" ").join(words) for words in lines)
    if not fits:
        lower.append_text(_word("…", bold=True))
    fill, color = ("▒", f"{cell['block']['kind']} block") if "block" in cell else (" ", "ink")
    for half in (upper, lower):
        half.append_text(_word(fill * (_WIDTH - len(half)), color))
    return upper, lower, fits


def _length(words: list[Text]) -> int:
    """With a space between each two."""
    return sum(map(len, words)) + len(words) - 1


def _ground(cell: Cell) -> list[Text]:
    words = []
    if block := cell.get("block"):
        spawn = f"+{block['spawn']}" if block["spawn"] else ""
        words.append(_word(f"{contents.label(block)}{spawn}", "faint" if block["hidden"] else "ink", bold=True))
        words += [_word("?", bold=True)] if block["hidden"] else []
    if item := cell["item"]:
        words.append(_word(_ITEMS[item], item.removesuffix(" position"), bold=True))
    words += [_word(f"{amount}{name[0]}", name) for name, amount in contents.resources(cell)]
    if siphoned := "×" * ("siphoned" in cell) + "◎" * ("siphon_center" in cell):
        words.append(_word(siphoned, "siphoned", bold=True))
    return words


def _entity(entity: Entity) -> Text:
    sign = "»" * ("turns" in entity) + contents.sign(entity) + contents.marks(entity)
    if entity.get("unseen"):
        return _word(f"({sign})", entity["type"])
    return _word(sign, entity["type"], bold=True)


def _panel(game: Mapping[str, Any]) -> list[Text]:
    lines = []
    for pairs in contents.status(game):
        line = Text()
        for label, value in pairs:
            line.pad_right(_PANEL_COLUMN + 1 - len(line) if line else 0)
            line.append_text(_word(f"{label} ", "faint")).append_text(_word(value, bold=True))
        lines.append(line)
    owned = [
        _word(f"{name:6} ").append_text(_word(f"{cost.replace(' ', ''):4}", "faint")) for name, cost in game["programs"]
    ]
    return lines + [Text(" ").join(owned[i : i + 2]) for i in range(0, len(owned), 2)]


def _crowds(game: Mapping[str, Any], width: int) -> list[str]:
    """In words: the cells that have more on them than there is room for."""
    crowded = [contents.words(cell) for cell in contents.cells(game) if not _cell_lines(cell)[2]]
    return [line for words in crowded for line in textwrap.wrap(f"… {words}", width, subsequent_indent="  ")]


def _legend(width: int) -> list[Text]:
    lines: list[Text] = []
    for cell, meaning in LEGEND:
        words = [*_ground(cell), *map(_entity, cell["here"])]
        entry = Text(" ").join([*words, _word(meaning, "faint")])
        if lines and len(lines[-1]) + 2 + len(entry) <= width:
            lines[-1].append("  ").append_text(entry)
        else:
            lines.append(entry)
    return lines
