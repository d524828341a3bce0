"""What all benchmarks need: a separate process for each measurement, and peak memory."""

import contextlib
import multiprocessing
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from hackmatrix_core.interrupts import postponed

Result = TypeVar("Result")


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """What the function returns in a fresh process, so that memory and compilation are those of this call alone.

    The process ends with this call, however that ends: also if this process is interrupted or killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    try:
        with ours, theirs:
            with postponed():
                process.start()
            theirs.close()
            result, error = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process that measures ended early, with code {process.exitcode}") from None
    process.join()
    if error is not None:
        raise error
    return result


def _answer(pipe: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    result, error = None, None
    try:
        result = function(*arguments)
    except Exception as caught:
        caught.add_note(traceback.format_exc())
        error = caught
    pipe.send((result, error))


def _end_with_parent(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()  # nothing is sent: the other end closes, at the latest with its process
    os._exit(1)


def peak_memory() -> int:
    """The most bytes that this process has held on the host."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
