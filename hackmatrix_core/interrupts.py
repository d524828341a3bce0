"""Ctrl-C ends a command at any moment: while Python imports, while XLA compiles or computes, while Python ends.

An exception is no way to do that. `KeyboardInterrupt` waits until compiled code returns, is lost in finalizers and
callbacks, and becomes an `ImportError` in an extension module. So a thread listens, and ends the process.
"""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

_finishes = threading.Event()
_ending = threading.Lock()


@contextlib.contextmanager
def left_to_itself() -> Iterator[None]:
    """Within this, what is interrupted ends by itself, however long that takes: training, which saves."""
    _finishes.set()
    try:
        yield
    finally:
        _finishes.clear()


@contextlib.contextmanager
def heard(*, for_good: bool) -> Iterator[None]:
    """Within this, Ctrl-C ends the process with code 130; `for_good`: also after it, until Python has ended.

    Only the main thread gets signals, and a process that was started to ignore them goes on doing so.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    listening, telling = os.pipe()
    os.set_blocking(telling, False)
    threading.Thread(target=_listen, args=(listening,), daemon=True).start()
    earlier = signal.set_wakeup_fd(telling, warn_on_full_buffer=False), signal.signal(signal.SIGINT, _leave_it)
    told = sys.unraisablehook
    sys.unraisablehook = functools.partial(_tell_others, told)
    try:
        yield
    finally:
        if not for_good:
            sys.unraisablehook = told
            signal.signal(signal.SIGINT, earlier[1])
            signal.set_wakeup_fd(earlier[0])
            os.close(telling)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Ctrl-C waits until this is over, and processes that start within do not get it, though a terminal tells them too.

    A process that is left half started would complain that nobody tells it what to do.
    """
    resource_tracker.ensure_running()  # it would be started with the first of them, and clear the mask
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _ending:
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _leave_it(*_: object) -> None:
    """The handler of a signal that `_listen` deals with."""


def _tell_others(tell: Callable[[Any], Any], event: Any) -> None:
    """A second Ctrl-C, which ends training without a save, may fall into code that cannot raise: training saves."""
    if not issubclass(event.exc_type, KeyboardInterrupt):
        tell(event)


def _listen(listening: int) -> None:
    if hasattr(signal, "pthread_sigmask"):  # the main thread may put signals off, while a process starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    while number := os.read(listening, 1):
        if number[0] != signal.SIGINT or _finishes.is_set():
            continue
        with _ending:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                print("\nhackmatrix: interrupted", file=sys.stderr, flush=True)
            os._exit(130)
    os.close(listening)
