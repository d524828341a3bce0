"""What all benchmarks share: a process for each measurement, and what is measured of every program."""

import dataclasses
import multiprocessing
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

import jax
from jax.stages import Compiled, Lowered

from hackmatrix_core.errors import UserError
from hackmatrix_core.interrupts import postponed

Result = TypeVar("Result")


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """What the function returns in a fresh process, so that memory and compilation are those of this call alone.

    The process ends with this one, also if this one is interrupted or killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    with ours:
        with theirs, postponed():
            process.start()
        try:
            result, error = ours.recv()
        except EOFError:
            process.join()
            killed = ": it was killed, as it happens where memory is short" if process.exitcode == -9 else ""
            raise UserError(f"the process that measures ended early, with code {process.exitcode}{killed}") from None
    process.join()
    if error is not None:
        raise error
    return result


def _answer(pipe: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    result, error = None, None
    try:
        result = function(*arguments)
    except Exception as caught:
        caught.add_note(traceback.format_exc())
        error = caught
    pipe.send((result, error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class Program(NamedTuple):
    """A compiled program, and the seconds that lowering and compiling took."""

    run: Compiled
    lowering: float
    compiling: float

    def costs(self, devices: Sequence[jax.Device]) -> dict[str, Any]:
        """The fields of a `Measurement` for this program, as of now."""
        return {
            "platform": devices[0].platform,
            "num_devices": len(devices),
            "lowering": self.lowering,
            "compiling": self.compiling,
            "peak_memory": peak_memory(),
        }


def compiled(lower: Callable[..., Lowered], *arguments: object) -> Program:
    """The program that is lowered from these arguments."""
    start = time.perf_counter()
    lowered = lower(*arguments)
    middle = time.perf_counter()
    return Program(lowered.compile(), middle - start, time.perf_counter() - middle)


def timed(run: Callable[..., Any], *arguments: object) -> tuple[float, Any]:
    """The seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(run(*arguments))
    return time.perf_counter() - start, result


def peak_memory() -> int:
    """The most bytes that this process has held on the host."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """What every benchmark measures; times in seconds."""

    platform: str  # as JAX names it: cpu, gpu, tpu
    num_devices: int
    lowering: float
    compiling: float
    peak_memory: int  # bytes, the most that the process has held on the host

    def costs(self) -> tuple[str, str, str]:
        """Cells of a table: `COSTS`."""
        return f"{self.lowering:.1f} s", f"{self.compiling:.1f} s", f"{self.peak_memory / 2**20:,.0f} MiB"


COSTS = ("lowering", "compiling", "peak memory")
