"""Tables: lines of text in a terminal, a real table in a notebook."""

import re
from collections.abc import Sequence
from html import escape


class Table(str):
    """Rows of cells as lines of text, the first column flush left, the others right.

    Args:
        rows: the head first; all of one length.
        note: a line below.
    """

    rows: Sequence[Sequence[str]]
    note: str

    def __new__(cls, rows: Sequence[Sequence[str]], note: str = "") -> "Table":
        """The table; see the class."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        table = super().__new__(cls, "\n".join([*lines, note] if note else lines))
        table.rows, table.note = rows, note
        return table

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(str(self))  # type: ignore[attr-defined]  # IPython's, which may not be installed

    def _repr_html_(self) -> str:
        head, *rows = self.rows
        lines = [_row(head, "th"), *(_row(row, "td") for row in rows)]
        note = f'<p style="margin:4px 0">{escape(self.note)}</p>' if self.note else ""
        return f'<div style="overflow-x:auto"><table>{"".join(lines)}</table></div>{note}'


def _row(cells: Sequence[str], tag: str) -> str:
    aligned = ["left", *["right"] * (len(cells) - 1)]
    return "".join(
        [
            "<tr>",
            *(f'<{tag} style="text-align:{to}">{_cell(c)}</{tag}>' for c, to in zip(cells, aligned, strict=True)),
            "</tr>",
        ]
    )


def _cell(text: str) -> str:
    """The cell's text; an interval in brackets goes below, so that the table stays narrow."""
    return re.sub(r" \((.* – .*)\)$", r"<br><small>\1</small>", escape(text))
