"""A line that says what is being done, for how long, and how far it is: below a notebook's cell, or in a terminal."""

import contextvars
import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

_BAR = 20  # characters


class Waiting:
    """A line that is there while something is being done: `with Waiting("playing") as line: line.reached(3, 10)`.

    Where output goes to neither a notebook nor a terminal it shows nothing.

    Args:
        what: is being done.
        usually: how long it takes, in words, for as long as nothing better is known.
    """

    def __init__(self, what: str, usually: str = "") -> None:
        self._what, self._usually = what, usually
        self._done = self._total = 0
        self._ended = threading.Event()
        self._show: Callable[[str], None] | None = None

    def reached(self, done: int, total: int = 0) -> None:
        """Tell how far it is; 0 for a total that is not known."""
        if done and not self._done:
            self._first = time.monotonic(), done
        self._done, self._total = done, total

    def text(self, seconds: float) -> str:
        """The line, after so many seconds."""
        parts = [self._what]
        if self._total:
            full = _BAR * self._done // self._total
            parts.append(f"{'█' * full}{'░' * (_BAR - full)} {self._done:,} of {self._total:,}")
        elif self._done:
            parts.append(f"{self._done:,} actions")
        parts.append(f"{clock(seconds)} so far")
        if not self._done and self._usually:
            parts.append(self._usually)
        if self._done:
            since, done = self._first
            if self._total and self._done > done:  # the beginning, which compiles, says nothing of the rest
                left = (time.monotonic() - since) / (self._done - done) * (self._total - self._done)
                parts.append(f"about {clock(left)} left")
        return " · ".join(parts)

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._show = _place(self.text(0.0))
        if self._show:
            # The context tells a kernel which cell the line belongs to.
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._tick, self._show), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._show:
            self._thread.join()
            self._show("")

    def _tick(self, show: Callable[[str], None]) -> None:
        while not self._ended.wait(1.0):
            show(self.text(time.monotonic() - self._begun))


def _place(text: str) -> Callable[[str], None] | None:
    """Shows a first text, and gives what replaces it; None where that cannot be."""
    if in_notebook():
        from IPython.display import display

        handle: Any = display({"text/plain": text}, raw=True, display_id=True)
        return lambda text: handle.update({"text/plain": text}, raw=True)
    if not sys.stdout.isatty():
        return None

    def show(text: str) -> None:
        sys.stdout.write("\r\033[K" + text[: shutil.get_terminal_size().columns - 1])
        sys.stdout.flush()

    show(text)
    return show


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
