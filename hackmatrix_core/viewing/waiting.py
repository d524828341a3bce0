"""A line that says what is being done, for how long, and how far it is: in a terminal, or below a notebook's cell."""

import contextvars
import sys
import threading
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Waiting:
    """A line that is there while something is being done: `with Waiting("playing") as line: line.reached(3, 10)`.

    Where output goes to neither a notebook nor a terminal it shows nothing.

    Args:
        what: is being done.
        usually: how long it takes, in words, for as long as nothing better is known.
    """

    def __init__(self, what: str, usually: str = "") -> None:
        self._what, self._ended = what, threading.Event()
        columns = TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn()
        console, is_hidden = Console(force_jupyter=False), not sys.stdout.isatty()
        self._line = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=is_hidden)
        self._task = self._line.add_task(f"{what} · {usually}" if usually else what, total=None)

    def reached(self, done: int, total: int = 0) -> None:
        """Tell how far it is; 0 for a total that is not known."""
        what = self._what if done else None
        self._line.update(self._task, completed=done, total=total or None, description=what)

    def text(self) -> str:
        """The line as it is now, without colours."""
        console = Console(color_system=None, force_jupyter=False, width=100)
        with console.capture() as captured:
            console.print(self._line.get_renderable())
        return captured.get().rstrip()

    def __enter__(self) -> Self:
        self._line.start()
        self._thread = None
        if in_notebook():
            from IPython.display import display

            cell: Any = display({"text/plain": self.text()}, raw=True, display_id=True)
            # The context tells a kernel which cell the line belongs to.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._renew, cell), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._line.disable:  # it would print an empty line, in the rich that Colab has
            self._line.stop()
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _renew(self, cell: Any) -> None:
        while not self._ended.wait(1.0):
            cell.update({"text/plain": self.text()}, raw=True)
        cell.update({"text/plain": ""}, raw=True)


def clock(seconds: float) -> str:
    """A time as in 1:05 or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def in_notebook() -> bool:
    """Whether this runs in a cell of a notebook."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
