"""Figures of matplotlib, which takes a second to import: whoever draws one imports this file then."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure that a notebook shows even before pyplot has set it up to show figures. Its text is what it says."""

    def __repr__(self) -> str:
        return " | ".join(filter(None, [self.get_suptitle(), *(axes.get_title() for axes in self.axes)])) or "a picture"

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
