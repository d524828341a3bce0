"""The history of a run: the metrics of each update as a record of plain numbers, and the file that keeps them."""

import contextlib
import json
import math
import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hackmatrix_core.training.metrics import EPISODE_MEANS

_LATELY = 1000
Record = dict[str, float | int | None]
"""The metrics of one update as numbers; None where there is no value (no episode ended)."""


def make_record(metrics: Mapping[str, Any], **more: float) -> Record:
    """The metrics of an update (numpy scalars, and the share of each action) as a JSON-ready record.

    `action_share` becomes `share_moves`, `share_siphon` and `share_programs` (R4).
    """
    shares = metrics["action_share"]
    numbers = {name: value for name, value in metrics.items() if name != "action_share"} | more
    groups = {"moves": shares[:4], "siphon": shares[4:5], "programs": shares[5:]}
    numbers |= {f"share_{name}": share.sum() for name, share in groups.items()}
    if metrics.get("episodes") == 0:
        numbers |= dict.fromkeys(EPISODE_MEANS, math.nan)
    return {name: _plain(value) for name, value in numbers.items()}


def _plain(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def lately(history: Sequence[Record], name: str, updates: int | None = None) -> float:
    """The mean of a metric over the episodes that ended last: 1,000, if there are as many. NaN if there is none.

    Args:
        history: the metrics of a run, oldest first.
        name: one of `EPISODE_MEANS`.
        updates: look at so many of its first updates; default all.
    """
    total, count = 0.0, 0.0
    for number in reversed(range(len(history) if updates is None else updates)):
        episodes, value = history[number].get("episodes"), history[number].get(name)
        if episodes and value is not None:
            total, count = total + episodes * value, count + episodes
        if count >= _LATELY:
            break
    return total / count if count else math.nan


class MetricsFile:
    """The metrics of a run as JSON lines, one per update.

    Args:
        path: of the file. Its lines for updates after `last_update` (of a run that was killed after its last
            checkpoint) are dropped. If the run goes on from there, lines that hold no metrics are set aside, in a file
            beside it, and told.
        last_update: the update that the run continues from.

    Attributes:
        history: the records, to which new ones are appended.
    """

    def __init__(self, path: str | os.PathLike, last_update: int = 0) -> None:
        self.path = Path(path)
        records, strange = _parsed(self.path)
        self.history = [record for record in records if record["update"] <= last_update]  # type: ignore[operator]
        self._written = 0  # lines in the file; 0 for one that is to be written whole
        if strange and last_update:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with contextlib.suppress(OSError):
                shutil.copyfile(self.path, aside)
            warnings.warn(
                f"{self.path} has {strange} line{'s' * (strange > 1)} without metrics. They are left out, and the file "
                f"as it was is kept as {aside.name}",
                RuntimeWarning,
                stacklevel=2,
            )

    def write(self) -> None:
        """Bring the file up to date with the history; an OSError if that is not possible."""
        written = self._written if self.path.exists() else 0
        self._written = 0  # if this fails, a line may be half written: next time all are
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in self.history[written:])
        if written:
            with self.path.open("a") as file:
                file.write(lines)
        else:
            whole = self.path.with_suffix(".tmp")
            whole.write_text(lines)
            whole.replace(self.path)
        self._written = len(self.history)


def read_metrics(path: str | os.PathLike) -> list[Record]:
    """The records of a metrics file, oldest first; lines that hold none are skipped, a missing file has none."""
    return _parsed(Path(path))[0]


def _parsed(path: Path) -> tuple[list[Record], int]:
    """The records of a file, and how many of its lines hold none; a last line without an end is still being written."""
    try:
        content = path.read_text(errors="replace")
    except OSError:  # missing, a folder, unreadable: writing it will tell
        content = ""
    records, strange = [], 0
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line, parse_constant=lambda _: None)  # NaN, which others may have written, is no value
        except (ValueError, RecursionError):
            record = None
        if _is_record(record):
            records.append(record)
        elif line.endswith("\n"):
            strange += 1
    return records, strange


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("update")) is int
        and type(value.get("steps")) is int
        and all(x is None or (type(x) in (int, float) and abs(x) <= sys.float_info.max) for x in value.values())
    )
