"""Tables: lines of text in a terminal, a real table in a notebook."""

import re
from collections.abc import Sequence
from html import escape


class Table(str):
    """Rows of cells as lines of text, the first columns flush left, the others right.

    Args:
        rows: the head first; all of one length.
        note: a line below.
        left: how many columns are flush left.
    """

    rows: Sequence[Sequence[str]]
    note: str
    left: int

    def __new__(cls, rows: Sequence[Sequence[str]], note: str = "", left: int = 1) -> "Table":
        """The table; see the class."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        flush = [str.ljust] * left + [str.rjust] * (len(widths) - left)
        lines = ["  ".join(f(cell, w) for f, cell, w in zip(flush, row, widths, strict=True)).rstrip() for row in rows]
        table = super().__new__(cls, "\n".join([*lines, note] if note else lines))
        table.rows, table.note, table.left = rows, note, left
        return table

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(str(self))  # type: ignore[attr-defined]  # IPython's, which may not be installed

    def _repr_html_(self) -> str:
        lines = "".join(self._line(row, "td" if number else "th") for number, row in enumerate(self.rows))
        note = f'<p style="margin:4px 0">{escape(self.note)}</p>' if self.note else ""
        return f'<div style="overflow-x:auto"><table>{lines}</table></div>{note}'

    def _line(self, row: Sequence[str], tag: str) -> str:
        sides = ["left" if number < self.left else "right" for number in range(len(row))]
        cells = [f'<{tag} style="text-align:{to}">{_cell(text)}</{tag}>' for text, to in zip(row, sides, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str) -> str:
    """The cell's text; an interval in brackets goes below, so that the table stays narrow."""
    return re.sub(r" \((.* – .*)\)$", r"<br><small>\1</small>", escape(text))
