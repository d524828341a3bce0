"""The original's program as a process: one JSON object a line goes in, one a line comes back."""

import collections
import contextlib
import functools
import json
import os
import queue
import shlex
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from hackmatrix_core.errors import UserError

_MODES = ("--headless-cli", "--visual-cli")
_LONGEST = 1 << 20
"""Bytes of a line; answers have some 5,000."""
_UNASKED = 100
"""Lines that may wait to be read. A program that writes more than answers is not read any more."""
_POSIX = os.name == "posix"


class OriginalError(UserError):
    """The original's program is missing, ended, did not answer, or answered with something else."""


class Program:
    """A running program of the original.

    It is in a process group of its own, which ends with this object and with this process, however that ends.

    Args:
        command: its path, or a list with arguments; `--headless-cli` is added unless it or `--visual-cli` is there.
        timeout: seconds that it may take for an answer.

    Raises:
        OriginalError: it cannot be started.
    """

    def __init__(self, command: str | os.PathLike | Sequence[str | os.PathLike], timeout: float) -> None:
        words = [command] if isinstance(command, str | os.PathLike) else list(command)
        self._words = [os.path.expanduser(os.fspath(word)) for word in words]
        if not set(_MODES) & set(self._words):
            self._words.append(_MODES[0])
        self._timeout = timeout
        pipe: Any = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                self._words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=_POSIX
            )
        except OSError as error:
            reason = error.strerror or error
            raise OriginalError(
                f"the original cannot be started: {shlex.join(self._words)}: {reason}. Give the path of its program, "
                "or a list of the program and its arguments"
            ) from error
        self.close = weakref.finalize(self, _end, self._process, _guard(self._process) if _POSIX else None)
        self._answers = answers = queue.SimpleQueue[bytes | None]()
        self._log: collections.deque[bytes | None] = collections.deque(maxlen=6)
        _drain(self._process.stdout, answers.put, lambda: answers.qsize() < _UNASKED)
        self._logging = _drain(self._process.stderr, self._log.append)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            OriginalError: there is none, or it is an error or nothing that can be read. The program is ended.
        """
        line = json.dumps(request)
        try:
            if self._answers.empty():  # else it has said something unasked, or has ended
                with contextlib.suppress(OSError):  # it has ended, which the missing answer tells
                    self._input.write(line.encode() + b"\n")
                    self._input.flush()
            return self._understood(line, self._answers.get(timeout=self._timeout))
        except queue.Empty:
            error = self._error(f"did not answer {line} within {self._timeout:g} seconds")
            self.close()
            raise error from None
        except BaseException:  # also Ctrl-C, after which an answer would be taken for that to the next request
            self.close()
            raise

    @contextlib.contextmanager
    def understanding(self, *answers: Any) -> Iterator[None]:
        """Within this, what is missing or wrong in these answers becomes an `OriginalError`."""
        try:
            yield
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            self.close()
            said = ", ".join(_cut(json.dumps(answer).encode()) for answer in answers)
            reason = f"{type(error).__name__}: {error}"
            raise self._error(f"answered something else than the protocol says ({reason}): {said}") from error

    @property
    def _input(self) -> IO[bytes]:
        return self._process.stdin  # type: ignore[return-value]  # a pipe

    def _understood(self, line: str, answer: bytes | None) -> dict[str, Any]:
        if answer is None:
            try:
                how = f"ended with exit code {self._process.wait(1)}"
            except subprocess.TimeoutExpired:
                how = "closed its output"
            raise self._error(f"{how} instead of answering {line}")
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(answer)
            if isinstance(read, dict) and "error" not in read:
                return read
        raise self._error(f"answered {line} with {_cut(answer)!r}, expected a JSON object without an error")

    def _error(self, what: str) -> OriginalError:
        self._logging.join(0.2)
        log = " | ".join(_cut(line) for line in self._log if line)
        ends = f"Its log ends: {log}" if log else "Its log is empty"
        return OriginalError(f"the original, {shlex.join(self._words)}, {what}. {ends}")


def _cut(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _drain(stream: Any, put: Callable[[Any], None], goes_on: Callable[[], bool] = lambda: True) -> threading.Thread:
    """Read a stream to its end in a thread: each line to `put`, then None."""

    def read() -> None:
        with stream:
            for line in iter(functools.partial(stream.readline, _LONGEST), b""):
                put(line)
                if not goes_on():
                    return
        put(None)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _guard(process: subprocess.Popen) -> subprocess.Popen:
    """A shell that ends the program's group once this process has ended. Closing stdin ends most programs, not all."""
    waits = 'read _; kill -s KILL -- "-$0"'
    return subprocess.Popen(["/bin/sh", "-c", waits, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True)


def _end(process: subprocess.Popen, guard: subprocess.Popen | None) -> None:
    if guard is not None:
        guard.kill()
        guard.communicate()
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    with contextlib.suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]  # a pipe
