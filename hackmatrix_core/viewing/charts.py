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


_COMPARED = {
    "win_rate": "share of games won",
    "episode_return": "mean return",
    "relative_entropy": "relative entropy",
    "share_siphon": "share of siphon among actions",
}


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


@styled
def plot_bands(groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> "Figure":
    """Games won, mean return, relative entropy and use of the siphon over environment steps, for groups of runs.

    Args:
        groups: by label, the histories of one or more runs; of several the mean, as far as all have come, with its 95 %
            interval as a band.
    """
    from matplotlib.ticker import EngFormatter

    from hackmatrix_core.viewing.figures import Picture

    figure = Picture(figsize=(7, 8), layout="constrained")
    panels = figure.subplots(len(_COMPARED), 1, sharex=True)
    for axes, (curve, title) in zip(panels, _COMPARED.items(), strict=True):
        for label, histories in groups.items():
            steps, mean, half = _band([_smooth_curve(history, curve) for history in histories])
            (line,) = axes.plot(steps, mean, label=label, marker="." if len(steps) < 30 else "")
            low, high = mean - half, mean + half
            if curve != "episode_return":  # a share
                low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.locator_params(axis="x", nbins=6)
        axes.set(title=title)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("environment steps")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=1 + (len(groups) > 3))
    return figure


def _smooth_curve(history: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which a metric has a value, and the means of neighbouring values."""
    points = [(record["steps"], record[name]) for record in history if record.get(name) is not None]
    steps, values = np.array(points, np.float64).reshape(-1, 2).T
    return steps, neighbours_mean(values)


def _band(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, the mean of the curves there, and half of its 95 % interval; over the steps that all curves have."""
    curves = [curve for curve in curves if len(curve[0])]
    if len(curves) < 2:
        steps, values = curves[0] if curves else (np.empty(0), np.empty(0))
        return steps, values, np.zeros_like(values)
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    steps = curves[0][0][(first <= curves[0][0]) & (curves[0][0] <= last)]
    values = np.array([np.interp(steps, *curve) for curve in curves])
    return steps, values.mean(axis=0), half_interval(values)


def half_interval(values: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the first axis, by Student's t: (K, …) to (…); NaN for one value."""
    from scipy import stats  # type: ignore[import-untyped]  # here, because it takes half a second

    count = len(values)
    if count < 2:
        return np.full(values.shape[1:], np.nan)
    return stats.t.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)


def save_curves(history: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
    """Write the curves as a PNG."""
    plot_curves(history).savefig(path, dpi=120)


def neighbours_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and its neighbours, (K,) to (K,): at most 3 % of all, fewer at both ends."""
    if not len(values):
        return values
    window = np.ones(1 + 2 * (len(values) // 66))
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")
