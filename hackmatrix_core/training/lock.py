"""One process a run: a lock file with a heartbeat, which also works across machines that share a folder."""

import contextlib
import json
import operator
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hackmatrix_core.training.checkpoints import CheckpointError

_NAME = "lock.json"
_BEAT = 15.0
"""Seconds between two heartbeats."""
_SETTLING = 0.05
"""Seconds in which others that began at the same moment have written, too."""
_SILENCE = 180.0
"""Seconds without a heartbeat after which a process counts as gone."""


def check_free(run_dir: Path) -> None:
    """Raise a CheckpointError, which says who trains there and since when, if a run is under way in the directory."""
    holder = _read(run_dir / _NAME)
    if holder is not None and not _has_ended(holder):
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder["since"]))
        raise CheckpointError(
            f"{run_dir} is in use: process {holder['process']} on {holder['host'][:80]} has been training there since "
            f"{begun}. Stop it first, or choose another run directory. If that process is gone, wait "
            f"{_SILENCE / 60:.0f} minutes or remove {_NAME}"
        )


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[Callable[[], bool]]:
    """Hold the directory, which no other run can use meanwhile; raises as `check_free`.

    Gives a function that tells whether it is still held: after a long silence, as of a laptop that sleeps, another run
    may take this one for gone.
    """
    path, ended = run_dir / _NAME, threading.Event()
    me = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "machine": _machine(), "process": os.getpid()}
    me["since"] = time.time()

    def holds_lock() -> bool:
        holder = _read(path)
        return holder is None or holder["id"] == me["id"]

    def beat() -> None:
        while not ended.wait(_BEAT) and holds_lock():
            _write(path, me)

    while True:
        check_free(run_dir)
        _write(path, me)
        time.sleep(_SETTLING)
        if holds_lock():  # else several began at once, and another was the last to write
            break
    heartbeat = threading.Thread(target=beat, daemon=True)
    heartbeat.start()
    try:
        yield holds_lock
    finally:
        ended.set()
        heartbeat.join()
        if holds_lock():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _machine() -> str:
    """Names where numbers of processes are valid: since this machine has started, in this container."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    return socket.gethostname()


def _has_ended(holder: dict[str, Any]) -> bool:
    try:
        if holder["machine"] == _machine():
            os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        pass
    return abs(time.time() - holder["seen"]) > _SILENCE


def _write(path: Path, me: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{me['process']}")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(me | {"seen": time.time()}))
        temporary.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    """The holder, None where there is none, or nothing that a run writes."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        holder: dict[str, Any] = json.loads(path.read_text())
        texts = [str.isprintable(holder[name]) for name in ("id", "host", "machine")]
        times = [0 <= holder[name] < 2**40 for name in ("since", "seen")]
        return holder if all(texts + times) and 0 < operator.index(holder["process"]) < 2**31 else None
    return None
