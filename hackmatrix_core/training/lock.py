"""One process a run: who trains in a directory says so in a file there, and others keep out."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hackmatrix_core.training.checkpointing import CheckpointError

_NAME = "lock.json"
_BEAT = 15.0
"""Seconds between two signs of life."""
_SETTLING = 0.05
"""Seconds in which others that began at the same moment have written, too."""
_SILENCE = 180.0
"""Seconds without one after which a process on another machine counts as gone."""


def check_free(run_dir: Path) -> None:
    """Refuse a directory in which a run is under way.

    The file `lock.json` there names the process. One on this machine that has ended, however it did, is recognised by
    its number; one on another machine, as with a folder in a Drive, by its silence.

    Raises:
        CheckpointError: says who trains there, and since when.
    """
    path = run_dir / _NAME
    holder = _read(path)
    if holder is not None and _is_alive(holder, _me()):
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder["since"]))
        raise CheckpointError(
            f"{run_dir} is in use: process {holder['process']} on {holder['host']} has been training there since "
            f"{begun}. Stop it first, or choose another run directory. If that process is gone, wait "
            f"{_SILENCE / 60:.0f} minutes or remove {path.name}"
        )


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[Callable[[], bool]]:
    """Hold the directory, which no other run can use meanwhile; raises as `check_free`.

    Gives a function that tells whether it still is held: after a long silence, as of a laptop that sleeps, another run
    may take this one for gone.
    """
    path, me, ended = run_dir / _NAME, _me(), threading.Event()
    check_free(run_dir)
    _write(path, me)
    time.sleep(_SETTLING)
    if not _is_mine(path, me):  # several began at once, and another was the last to write
        check_free(run_dir)
    beats = threading.Thread(target=_beat, args=(path, me, ended), daemon=True)
    beats.start()
    try:
        yield lambda: _is_mine(path, me, or_nobodys=True)
    finally:
        ended.set()
        beats.join()
        if _is_mine(path, me):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _beat(path: Path, me: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(_BEAT) and _is_mine(path, me, or_nobodys=True):
        _write(path, me)


def _is_mine(path: Path, me: dict[str, Any], *, or_nobodys: bool = False) -> bool:
    holder = _read(path)
    return or_nobodys if holder is None else holder.items() >= me.items()


def _write(path: Path, me: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{me['process']}")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(me | {"seen": time.time()}))
        temporary.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    """The holder, None where there is none, or nothing that can be read."""
    try:
        holder = json.loads(path.read_text())
        known = {"host": str, "boot": str, "process": int, "begun": str, "since": float, "seen": float}
        return holder if all(isinstance(holder[name], kind) for name, kind in known.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": f"{_text('/proc/sys/kernel/random/boot_id')} {_process_numbers()}".strip(),
        "process": os.getpid(),
        "begun": _begun(os.getpid()),
        "since": time.time(),
    }


def _is_alive(holder: dict[str, Any], me: dict[str, Any]) -> bool:
    if (holder["host"], holder["boot"]) != (me["host"], me["boot"]):
        return abs(time.time() - holder["seen"]) < _SILENCE
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return _begun(holder["process"]) == holder["begun"]  # else the number belongs to another process by now


def _begun(process: int) -> str:
    """When a process of this machine began, in the system's own words; empty where it does not say."""
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _process_numbers() -> str:
    """What the numbers of processes are valid in: each container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
