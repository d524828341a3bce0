"""Ctrl-C ends a command at once, quietly, with exit code 130: while Python imports, XLA compiles, or Python ends.

`KeyboardInterrupt` cannot do that. It waits until compiled code returns, and is lost in finalizers and callbacks. So a
thread waits for the signal and ends the process.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

_SIGNALS = {signal.SIGINT}
_handled = threading.Event()
_starting = threading.Lock()


def end_at_interrupt() -> None:
    """From now on Ctrl-C ends this process, whatever its threads do. To be called in the main thread.

    A process that was started to ignore Ctrl-C, as in the background of a script, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        listening, telling = os.pipe()
        os.set_blocking(telling, False)
        signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, lambda *_: None)
        threading.Thread(target=_wait_and_end, args=(listening,), daemon=True).start()


@contextlib.contextmanager
def use_handlers() -> Iterator[None]:
    """Within this, Ctrl-C calls the handler of `signal.signal`, as that of training, which saves."""
    _handled.set()
    try:
        yield
    finally:
        _handled.clear()


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Within this, Ctrl-C waits, and processes that start never get it. Half started, they would print tracebacks."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        resource_tracker.ensure_running()  # else the first process starts it, and it may unblock signals
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        with _starting:
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _wait_and_end(listening: int) -> None:
    while os.read(listening, 1)[0] != signal.SIGINT or _handled.is_set():
        pass
    with _starting:
        with contextlib.suppress(OSError):
            if os.isatty(1):
                os.write(1, b"\033[?25h")  # the cursor, which a progress bar hides
            os.write(2, b"\nhackmatrix: interrupted\n")
        os._exit(130)
