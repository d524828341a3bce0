"""Output that cannot end a command: the disk is full, the reader has gone, the encoding lacks a character."""

import io
import os
import sys
from typing import Any


class _Lossy(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def make_output_sturdy() -> None:
    """From now on the process's output drops what cannot be written, and has `?` for what cannot be encoded."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)  # None where it was closed before Python started
        raw = _Lossy(number, "w", closefd=False) if stream else _Lossy(os.devnull, "w")
        encoding = stream.encoding if stream else "utf-8"
        buffered = io.BufferedWriter(raw)
        setattr(sys, name, io.TextIOWrapper(buffered, encoding, errors="replace", line_buffering=True))
