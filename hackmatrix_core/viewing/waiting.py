"""What a notebook waits for: a line below the cell that says what is being done, for how long, and how far it is."""

import contextvars
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

_BAR = 20  # characters


class Waiting:
    """A line that is there while something is being done: `with Waiting("playing") as line: line.reached(3, 10)`.

    Outside a notebook it shows nothing.

    Args:
        what: is being done.
        usually: how long it takes, in words, for as long as nothing better is known.
    """

    def __init__(self, what: str, usually: str = "") -> None:
        self._what, self._usually = what, usually
        self._done = self._total = 0
        self._ended = threading.Event()
        self._handle: Any = None

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
        if in_notebook():
            from IPython.display import display

            self._handle = display(self._bundle(), raw=True, display_id=True)
            # The context tells the kernel which cell the line belongs to.
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._tick,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._handle is not None:
            self._thread.join()
            self._handle.update({"text/plain": ""}, raw=True)

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": self.text(time.monotonic() - self._begun)}

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            self._handle.update(self._bundle(), raw=True)


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
