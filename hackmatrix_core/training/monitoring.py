"""What a run shows while it trains: progress lines, metric files, curves, and a watch over the entropy.

All of them are callbacks: functions of a `Progress`, which `Trainer` calls at each phase and after each update.
"""

import base64
import contextlib
import dataclasses
import io
import json
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np

from hackmatrix_core.training.metrics import EPISODE_MEANS
from hackmatrix_core.viewing.style import SERIES, WARNING, styled
from hackmatrix_core.viewing.waiting import clock, in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Phase = Literal["compiling", "training", "done"]
Record = dict[str, float | int | None]
"""The metrics of one update as numbers; None where there is no value (no episode ended)."""
ENTROPY_THRESHOLD = 0.15
"""Relative entropy below which a policy hardly explores anymore."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    phase: Phase
    update: int
    """Updates done since the run was first started."""
    total_updates: int
    batch_size: int
    """Environment steps of one update."""
    seconds: float
    """Seconds that training has taken, without the first update; before it, those that compiling has taken."""
    seconds_left: float
    """Estimate for the rest of the run; NaN before the first update, infinite while it is unknown after that."""
    history: Sequence[Record]
    """The metrics of all updates, oldest first."""
    stop: Callable[[], None]
    """Asks the run to stop after the update in progress."""

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.update * self.batch_size

    @property
    def is_new(self) -> bool:
        """Whether an update has just ended: false when training begins or resumes."""
        return self.phase == "training" and not math.isnan(self.seconds_left)

    def latest(self, name: str) -> float:
        """The last known value of a metric, NaN if there is none."""
        values = (value for record in reversed(self.history) if (value := record.get(name)) is not None)
        return next(values, math.nan)


Callback = Callable[[Progress], None]


def default_display() -> Callback:
    """A `LiveDisplay` in a notebook, a `ConsoleProgress` anywhere else."""
    return LiveDisplay() if in_notebook() else ConsoleProgress()


def status_line(progress: Progress) -> str:
    """What is known in one line: update, steps, speed, time left (or how it ended), return, stage, entropy."""
    if progress.phase != "done":
        rest = f"{clock(progress.seconds_left)} left" if math.isfinite(progress.seconds_left) else ""
    else:
        rest = "stopped and saved" if progress.update < progress.total_updates else "done"
    numbers = {
        "steps_per_second": "{:,.0f} steps/s",
        "episode_return": "return {:+.2f}",
        "final_stage": "stage {:.2f}",
        "relative_entropy": "entropy {:.2f}",
    }
    known = {name: progress.latest(name) for name in numbers}
    speed, *results = ("" if math.isnan(known[name]) else form.format(known[name]) for name, form in numbers.items())
    parts = [f"update {progress.update}/{progress.total_updates}", f"{progress.steps:,} steps", speed, rest, *results]
    return " · ".join(filter(None, parts))


class ConsoleProgress:
    """Progress in a terminal: one line that updates itself, or one every `interval` seconds if the output is a file."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream = stream or sys.stdout
        self._interval = 0.2 if self._stream.isatty() else interval
        self._printed = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Print what is new."""
        if progress.phase == "compiling":
            self._write("compiling…")
        elif progress.phase == "training" and not self._printed > -math.inf:
            self._write(f"compiled in {progress.seconds:.1f} s, training…", end="\n")
            self._printed = time.monotonic()
        elif progress.phase == "done":
            self._write(status_line(progress), end="\n")
        elif time.monotonic() - self._printed >= self._interval:
            self._write(status_line(progress))
            self._printed = time.monotonic()

    def _write(self, text: str, end: str = "") -> None:
        if self._stream.isatty():
            width = shutil.get_terminal_size().columns
            self._stream.write("\r\033[K" + text[: width - 1] + end)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


class EntropyWatch:
    """Warns once, with what to change, if the relative entropy falls below a threshold in the first half of a run.

    A run that starts from a trained network may begin below it.
    """

    def __init__(self, threshold: float = ENTROPY_THRESHOLD) -> None:
        self.threshold = threshold
        self._warned = False

    def __call__(self, progress: Progress) -> None:
        """Look at the last update."""
        entropy = progress.latest("relative_entropy")
        is_early = 2 * progress.update < progress.total_updates
        fell = entropy < self.threshold <= (progress.history[0]["relative_entropy"] or 0.0)
        if progress.phase == "training" and fell and is_early and not self._warned:
            self._warned = True
            warnings.warn(
                f"relative entropy is {entropy:.2f} after {progress.update} of {progress.total_updates} updates: the "
                "policy has almost stopped exploring. Raise uniform_coef or ent_coef (say, double it), lower "
                "learning_rate, or raise num_envs",
                RuntimeWarning,
                stacklevel=2,
            )


class MetricsFile:
    """The metrics of a run as JSON lines, one per update.

    Args:
        path: of the file. Its lines for updates after `last_update` (of a run that was killed after its last
            checkpoint) are dropped. If the run goes on from there, lines that hold no metrics are set aside, in a file
            beside it, and told.
        last_update: the update that the run continues from.
    """

    def __init__(self, path: str | os.PathLike, last_update: int = 0) -> None:
        self.path = Path(path)
        records, strange = _parsed(_content(self.path))
        self.history = [record for record in records if record["update"] <= last_update]  # type: ignore[operator]
        self._written = 0  # lines in the file; 0 for one that is to be written whole
        if strange and last_update:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with contextlib.suppress(OSError):
                shutil.copyfile(self.path, aside)
            warnings.warn(
                f"{self.path} has {strange} line{'s' * (strange > 1)} without metrics. They are left out, and the file "
                f"as it was is kept as {aside.name}",
                RuntimeWarning,
                stacklevel=2,
            )

    def append(self, record: Record) -> None:
        """Add the metrics of one update; they are kept here also if the file cannot be written, an OSError."""
        self.history.append(record)
        self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        written, self._written = self._written, 0  # if this fails, a line may be half written: next time all are
        if written and self.path.exists():
            with self.path.open("a") as file:
                file.write("".join(map(_json_line, self.history[written:])))
        else:
            kept = self.path.with_suffix(".tmp")
            kept.write_text("".join(map(_json_line, self.history)))
            kept.replace(self.path)
        self._written = len(self.history)


def read_metrics(path: str | os.PathLike) -> list[Record]:
    """The records of a metrics file, oldest first; lines that hold none are skipped, a missing file has none."""
    return _parsed(_content(Path(path)))[0]


def _content(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # missing, a folder, unreadable: writing it will tell
        return ""


def _parsed(content: str) -> tuple[list[Record], int]:
    """The records of a file, and how many of its lines hold none; a last line without an end is still being written."""
    records, strange = [], 0
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if _is_record(record):
            records.append(record)
        elif line.endswith("\n"):
            strange += 1
    return records, strange


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("update")) is int
        and type(value.get("steps")) is int
        and all(number is None or type(number) in (int, float) for number in value.values())
    )


def make_record(metrics: Mapping[str, Any], **more: float) -> Record:
    """The metrics of an update (numpy scalars, and the share of each action) as a JSON-ready record.

    `action_share` becomes `share_moves`, `share_siphon` and `share_programs` (R4).
    """
    shares = metrics["action_share"]
    numbers = {name: value for name, value in metrics.items() if name != "action_share"} | more
    groups = {"moves": shares[:4], "siphon": shares[4:5], "programs": shares[5:]}
    numbers |= {f"share_{name}": share.sum() for name, share in groups.items()}
    if metrics.get("episodes") == 0:
        numbers |= dict.fromkeys(EPISODE_MEANS, math.nan)
    return {name: _plain(value) for name, value in numbers.items()}


@styled
def plot_curves(history: Sequence[Record]) -> "Figure":
    """Mean return and relative entropy over environment steps, with the threshold of the entropy watch.

    A strong line runs through the means of neighbouring updates, because few episodes end in a single one.
    """
    # Imported here, because matplotlib takes a second and 25 MB, and compiling needs the most memory.
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    curves = [
        ("episode_return", "mean return of finished episodes", SERIES[0]),
        ("relative_entropy", "relative entropy", SERIES[1]),
    ]
    for axes, (name, title, color) in zip(figure.subplots(1, 2), curves, strict=True):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.locator_params(axis="x", nbins=6)
        points = [(record["steps"], record[name]) for record in history if record.get(name) is not None]
        steps, values = np.array(points, np.float64).reshape(-1, 2).T
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=1)
        axes.plot(steps, neighbours_mean(values), color=color, marker="." if len(points) < 30 else "")
        axes.set(title=title, xlabel="environment steps")
        axes.grid(alpha=0.3)
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
    axes.set_ylim(0, 1)
    return figure


def neighbours_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and its neighbours, (K,) to (K,): at most 3 % of all, fewer at both ends."""
    window = np.ones(1 + 2 * (len(values) // 66))
    return (
        np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")
        if len(values)
        else values
    )


def save_curves(history: Sequence[Record], path: str | os.PathLike) -> None:
    """Write the curves as a PNG."""
    plot_curves(history).savefig(path, dpi=120)


class LiveDisplay:
    """Progress in a notebook: a stop button, a status line and the two curves, updated in place.

    The button (if ipywidgets is installed) works while the cell waits for a run in a thread, as `notebook.train` does,
    and goes with the end of the run. The notebook's own interrupt (■) stops any run.

    Args:
        interval: seconds between two updates of the curves.
    """

    def __init__(self, interval: float = 2.0) -> None:
        self._interval = interval
        self._drawn = -math.inf
        self._compiling_since: float | None = None
        self._button: Any = None
        self._place: Any = None
        self._status: Any = None
        self._curves: Any = None

    def __call__(self, progress: Progress) -> None:
        """Update the display."""
        if progress.phase == "compiling":
            self._start(progress.stop)
            self._compiling_since = time.monotonic()
            self.tick()
            return
        self._compiling_since = None
        if progress.phase == "training" and time.monotonic() - self._drawn < self._interval:
            return
        self._drawn = time.monotonic()
        self._status.update({"text/plain": status_line(progress)}, raw=True)
        if progress.history:
            self._curves.update({"image/png": _png(plot_curves(progress.history))}, raw=True)
        if progress.phase == "done":
            self.close()

    def close(self) -> None:
        """Take the button away: the run has ended, or failed."""
        self._compiling_since = None
        if self._place is not None:
            self._place.update(_NOTHING, raw=True)

    def tick(self) -> None:
        """While the run compiles: tell for how long."""
        begun = self._compiling_since  # training goes on in another thread
        if begun is not None:
            since = clock(time.monotonic() - begun)
            text = f"compiling · {since} so far · about half a minute the first time, seconds from then on"
            self._status.update({"text/plain": text}, raw=True)

    def _start(self, stop: Callable[[], None]) -> None:
        from IPython.display import display

        with contextlib.suppress(ImportError):
            import ipywidgets

            self._button = ipywidgets.Button(
                description="Stop and save", icon="stop", tooltip="stops after the update in progress"
            )
            self._button.on_click(lambda _: self._stop(stop))
            # As plain data, so that another output can take its place: a widget that is displayed stays.
            view = {"version_major": 2, "version_minor": 0, "model_id": self._button.model_id}
            shown = _NOTHING | {"application/vnd.jupyter.widget-view+json": view}
            self._place = display(shown, raw=True, display_id=True)
        self._status, self._curves = (display(_NOTHING, raw=True, display_id=True) for _ in range(2))

    def _stop(self, stop: Callable[[], None]) -> None:
        self._button.disabled, self._button.description = True, "Stopping…"
        stop()


_NOTHING: dict[str, Any] = {"text/plain": ""}


def _png(figure: "Figure") -> str:
    """The figure as a notebook's messages carry it: PNG in base64."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90)
    return base64.b64encode(picture.getvalue()).decode()


def _json_line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _plain(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
