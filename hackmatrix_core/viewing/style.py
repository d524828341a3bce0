"""How charts look: as the board does, on a dark panel of their own, readable on light pages and on dark ones."""

import contextlib
from collections.abc import Iterator
from typing import Any

from hackmatrix_core.viewing.palette import PALETTE

SERIES = [PALETTE[name] for name in ("cryptog", "glitch", "daemon", "energy", "virus")]
"""The colours of curves and bars, in their order."""
WARNING = PALETTE["virus"]
_STYLE: dict[Any, Any] = {
    "figure.facecolor": PALETTE["panel"],
    "axes.facecolor": PALETTE["panel"],
    "axes.edgecolor": PALETTE["line"],
    "axes.labelcolor": PALETTE["faint"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "font.size": 11,
    "grid.color": PALETTE["line"],
    "legend.facecolor": PALETTE["cell"],
    "legend.edgecolor": PALETTE["line"],
    "text.color": PALETTE["ink"],
    "xtick.color": PALETTE["faint"],
    "ytick.color": PALETTE["faint"],
}


@contextlib.contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context  # takes a second: only when something is drawn
    from matplotlib.rcsetup import cycler

    with rc_context(_STYLE | {"axes.prop_cycle": cycler(color=SERIES)}):
        yield


styled = _style()
"""Decorates a function: everything that it draws with matplotlib has this style."""
