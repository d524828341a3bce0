"""Output that degrades instead of ending a command: characters that a terminal lacks, a reader that has gone."""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_PLAIN = {"×": "x", "…": "...", "–": "-", "−": "-", "·": "|", "─": "-", "→": "->", "≥": ">="}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in missing), error.end


codecs.register_error("hackmatrix", _plain)


class _Sturdy:
    """A stream that swallows what cannot be written, after it has led the rest to nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def sturdy_output() -> Iterator[None]:
    """Within this, output cannot end a command."""
    earlier = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        # A stream is None where its file was closed before Python started.
        sys.stdout, sys.stderr = (_Sturdy(stream or nowhere) for stream in earlier)  # type: ignore[assignment]
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="hackmatrix")
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = earlier
