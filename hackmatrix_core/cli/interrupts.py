"""Ctrl-C is heard while XLA compiles or computes, when Python's own handlers wait for it to return."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_PATIENCE = 2.0
"""Seconds that a command has to end by itself."""
_finishes = threading.Event()


def let_finish(does: bool) -> None:
    """Whether the command ends by itself when it is interrupted, however long that takes: training, which saves."""
    (_finishes.set if does else _finishes.clear)()


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Within this, Ctrl-C ends the process; only the main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listening, telling = os.pipe()
    os.set_blocking(telling, False)
    ended = threading.Event()
    threading.Thread(target=_listen, args=(listening, ended), daemon=True).start()
    earlier = signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    told, sys.unraisablehook = sys.unraisablehook, _tell_others
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = told
        signal.set_wakeup_fd(earlier)
        os.close(telling)


def _tell_others(event: Any) -> None:
    """An interrupt that falls into code that cannot raise is lost, and Python would report it: `_listen` ends all."""
    if not issubclass(event.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(event)


def _listen(listening: int, ended: threading.Event) -> None:
    while number := os.read(listening, 1):
        if number[0] != signal.SIGINT or _finishes.is_set() or ended.wait(_PATIENCE):
            continue
        with contextlib.suppress(Exception):
            print("\nhackmatrix: interrupted", file=sys.stderr, flush=True)
        os._exit(130)
    os.close(listening)
