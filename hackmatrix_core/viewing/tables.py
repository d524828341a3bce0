"""Tables: laid out by rich in a terminal, plain lines in a file, a real table in a notebook."""

import re
import sys
from collections.abc import Sequence
from html import escape

from rich.console import Console, Group
from rich.table import Table as Layout
from rich.text import Text


class Table(str):
    """Rows of cells as lines of text, the first columns flush left, the others right.

    Args:
        rows: the head first; all of one length.
        note: a line below.
        left: how many columns are flush left.
    """

    _rows: Sequence[Sequence[str]]
    _note: str
    _layout: Layout

    def __new__(cls, rows: Sequence[Sequence[str]], note: str = "", left: int = 1) -> "Table":
        """The table; see the class."""
        layout = Layout(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, name in enumerate(rows[0]):
            layout.add_column(Text(name), justify="left" if number < left else "right")
        for row in rows[1:]:
            layout.add_row(*map(Text, row))
        console = Console(width=1000, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(layout)
        lines = [line.rstrip() for line in captured.get().splitlines()]
        table = super().__new__(cls, "\n".join([*lines, note] if note else lines))
        table._rows, table._note, table._layout = rows, note, layout
        return table

    def print(self) -> None:
        """Print it; in a terminal it is as wide as that, and has a bold head."""
        if sys.stdout.isatty():
            Console().print(Group(self._layout, Text(self._note)))
        else:
            print(self)

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(str(self))  # type: ignore[attr-defined]  # IPython's, which may not be installed

    def _repr_html_(self) -> str:
        lines, sides = "", [column.justify for column in self._layout.columns]
        for number, row in enumerate(self._rows):
            tag = "td" if number else "th"
            cells = (f'<{tag} style="text-align:{to}">{_cell(it)}</{tag}>' for it, to in zip(row, sides, strict=True))
            lines += f"<tr>{''.join(cells)}</tr>"
        note = f'<p style="margin:4px 0">{escape(self._note)}</p>' if self._note else ""
        return f'<div style="overflow-x:auto"><table>{lines}</table></div>{note}'


def _cell(text: str) -> str:
    """The cell's text; an interval in brackets goes below, so that the table stays narrow."""
    return re.sub(r" \((.* – .*)\)$", r"<br><small>\1</small>", escape(text))
