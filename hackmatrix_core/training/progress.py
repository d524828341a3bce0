"""What a run shows while it trains: a status line, in notebooks with curves, and watches over entropy and wins.

All of them are callbacks: functions of a `Progress`, which `Trainer` calls at each phase and after each update.
"""

import base64
import contextlib
import dataclasses
import io
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

from hackmatrix_core.training.history import Record, lately
from hackmatrix_core.viewing.charts import ENTROPY_THRESHOLD, plot_curves
from hackmatrix_core.viewing.waiting import clock, in_notebook

Phase = Literal["compiling", "training", "done"]


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
    """What is known in one line: update, steps, speed, time left (or how it ended), wins, return, stage, entropy."""
    if progress.phase != "done":
        rest = f"{clock(progress.seconds_left)} left" if math.isfinite(progress.seconds_left) else ""
    else:
        ends = {0: "stopped before the first update: nothing is trained yet", progress.total_updates: "done"}
        rest = ends.get(progress.update, "stopped and saved")
    numbers = {
        "steps_per_second": "{:,.0f} steps/s",
        "win_rate": "won {:.0%}",
        "episode_return": "return {:+.2f}",
        "final_stage": "stage {:.2f}",
        "relative_entropy": "entropy {:.2f}",
    }
    known = {name: progress.latest(name) for name in numbers}
    speed, *results = ("" if math.isnan(known[name]) else form.format(known[name]) for name, form in numbers.items())
    parts = [f"update {progress.update}/{progress.total_updates}", f"{progress.steps:,} steps", speed, rest, *results]
    return " · ".join(filter(None, parts))


class ConsoleProgress:
    """Progress in a terminal: one line that renews itself, or one every `interval` seconds if the output is a file."""

    def __init__(self, console: Console | None = None, interval: float = 10.0) -> None:
        self._console = console or Console(highlight=False)
        self._renews = self._console.file.isatty() and not self._console.is_dumb_terminal
        self._interval = 0.2 if self._renews else interval
        self._printed = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Print what is new."""
        if progress.phase == "compiling":
            self._print("compiling…")
        elif progress.phase == "training" and not self._printed > -math.inf:
            self._print(f"compiled in {progress.seconds:.1f} s, training…", stays=True)
            self._printed = time.monotonic()
        elif progress.phase == "done":
            self._print(status_line(progress), stays=True)
        elif time.monotonic() - self._printed >= self._interval:
            self._print(status_line(progress))
            self._printed = time.monotonic()

    def _print(self, text: str, *, stays: bool = False) -> None:
        if self._renews:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 0)))
            width, end = self._console.width - 1, "\n" if stays else ""
            self._console.print(text, end=end, width=width, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(text, soft_wrap=True)


class LiveDisplay:
    """Progress in a notebook: a stop button, a status line and the curves, updated in place.

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
        if self._status is None:
            self._start(progress.stop)
        if progress.phase == "compiling":
            self._compiling_since = time.monotonic()
            self.tick()
            return
        self._compiling_since = None
        if progress.phase == "training" and time.monotonic() - self._drawn < self._interval:
            return
        self._drawn = time.monotonic()
        self._status.update({"text/plain": status_line(progress)}, raw=True)
        if progress.history:
            picture = io.BytesIO()
            plot_curves(progress.history).savefig(picture, format="png", dpi=90)
            self._curves.update({"image/png": base64.b64encode(picture.getvalue()).decode()}, raw=True)
        if progress.phase == "done":
            self.close()

    def close(self) -> None:
        """Take the button away: the run has ended, or failed."""
        self._compiling_since = None
        if self._place is not None:
            self._place.update(_NOTHING, raw=True)
            self._button.close()

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


class TrapWatch:
    """Warns once if a run has fallen into a trap: it wins a third less than at its best, and its games take longer.

    The games of an agent that earns the same small reward again and again grow long (docs/learning.md).
    """

    def __init__(self) -> None:
        self._seen = 0  # records
        self._won, self._length = _MUST_HAVE_WON, math.inf  # at best
        self._steps: float | None = 0
        self._warned = False

    def __call__(self, progress: Progress) -> None:
        """Look at the updates that are new."""
        while self._seen < len(progress.history) and not self._warned:
            steps = progress.history[self._seen]["steps"]
            self._seen += 1
            won, length = (lately(progress.history, name, self._seen) for name in ("win_rate", "episode_length"))
            if won > self._won:
                self._won, self._length, self._steps = won, length, steps
            elif won < self._won * 2 / 3 and length > self._length:
                self._warned = True
                warnings.warn(
                    f"after {steps:,} steps {won:.0%} of the games are won, at best, after {self._steps:,}, it was "
                    f"{self._won:.0%}; and they take {length:.0f} actions instead of {self._length:.0f}. The run may "
                    "have found a trap, a small reward that it earns again and again. Its best checkpoint is kept "
                    "(checkpoint best). Go on from there with shaping 0, a smaller gamma_to or a smaller learning_rate",
                    RuntimeWarning,
                    stacklevel=2,
                )


_MUST_HAVE_WON = 0.2
"""Share of the games, at least, before a fall means something."""
_NOTHING: dict[str, Any] = {"text/plain": ""}
