"""How charts look: as the board does, on a dark panel of their own, readable on light pages and on dark ones."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from hackmatrix_core.viewing.palette import PALETTE

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
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


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, with everything that it draws with matplotlib in this style."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        from matplotlib import rc_context  # takes a second: only when something is drawn
        from matplotlib.rcsetup import cycler

        with rc_context(_STYLE | {"axes.prop_cycle": cycler(color=SERIES)}):
            return draw(*arguments, **named)

    return drawn
