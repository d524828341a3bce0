"""Charts of a run: its curves over environment steps."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hackmatrix_core.viewing.style import SERIES, WARNING, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENTROPY_THRESHOLD = 0.15
"""Relative entropy below which a policy hardly explores anymore."""


@styled
def plot_curves(history: Sequence[Mapping[str, Any]]) -> "Figure":
    """Games won, mean return and relative entropy over environment steps, with the threshold of the entropy watch.

    A strong line runs through the means of neighbouring updates, because few episodes end in a single one.

    Args:
        history: the metrics of each update, oldest first; None where there is no value.
    """
    # Imported here, because matplotlib takes a second and 25 MB, and compiling needs the most memory.
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    curves = [
        ("win_rate", "share of games won", SERIES[2]),
        ("episode_return", "mean return of a game", SERIES[0]),
        ("relative_entropy", "relative entropy", SERIES[1]),
    ]
    for axes, (name, title, color) in zip(figure.subplots(1, 3), curves, strict=True):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.locator_params(axis="x", nbins=6)
        points = [(record["steps"], record[name]) for record in history if record.get(name) is not None]
        steps, values = np.array(points, np.float64).reshape(-1, 2).T
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=1)
        axes.plot(steps, neighbours_mean(values), color=color, marker="." if len(points) < 30 else "")
        axes.set(title=title, xlabel="environment steps")
        axes.grid(alpha=0.3)
        if name != "episode_return":
            axes.set_ylim(0, 1)
    axes.axhline(ENTROPY_THRESHOLD, color=WARNING, linestyle="--", linewidth=1)
    axes.annotate(
        "too little exploration",
        (0.99, ENTROPY_THRESHOLD),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="top",
        color=WARNING,
        fontsize=8,
    )
    return figure


def save_curves(history: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
    """Write the curves as a PNG."""
    plot_curves(history).savefig(path, dpi=120)


def neighbours_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and its neighbours, (K,) to (K,): at most 3 % of all, fewer at both ends."""
    if not len(values):
        return values
    window = np.ones(1 + 2 * (len(values) // 66))
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")
