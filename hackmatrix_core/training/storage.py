"""Where a run is kept: its directory, or a copy on the local disk for as long as that cannot be written to.

What is kept there never ends a run. A file that cannot be written is told once, and written when that is possible
again.
"""

import contextlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hackmatrix_core.training import lock
from hackmatrix_core.training.checkpointing import CheckpointError, Checkpoints
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.monitoring import MetricsFile, Record, save_curves
from hackmatrix_core.training.runner import RunnerState


class Storage:
    """The files of a run.

    Args:
        run_dir: of the run; created if it does not exist.
        resume: whether there may be a run already.

    Attributes:
        place: the directory that holds the newest checkpoint: `run_dir`, or the local copy.
        is_ours: False once another run has taken `run_dir` over; nothing is written there any more.

    Raises:
        CheckpointError: the directory cannot be made or written to, is in use, or holds a run that is not resumed.
    """

    def __init__(self, run_dir: Path, resume: bool) -> None:
        lock.check_free(run_dir)
        self.run_dir = self.place = run_dir
        self.checkpoints = Checkpoints(run_dir / "checkpoints")
        self.is_ours: Callable[[], bool] = lambda: True
        self._resumes = resume
        self._told: set[str] = set()
        self._check_runs()

    def _check_runs(self) -> None:
        if self.checkpoints.updates and not self._resumes:
            raise CheckpointError(f"{self.run_dir} already holds a run. Resume it, or choose another run directory")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the directory; raises as the class does, for what others have done there since."""
        with lock.locked(self.run_dir) as self.is_ours:
            self.checkpoints.reload()
            self._check_runs()
            self._resumes = True  # what is there from now on is this run
            yield

    def begin(self, config: TrainConfig, update: int) -> list[Record]:
        """Write the config, and give the metrics of the updates so far."""
        self._attempt("config.json", lambda: _write_config(self.run_dir, config))
        self._metrics = MetricsFile(self.run_dir / "metrics.jsonl", update)
        self._attempt("metrics.jsonl", self._metrics.write)
        return self._metrics.history

    def append(self, record: Record) -> None:
        """Add the metrics of one update."""
        if self.is_ours():
            self._attempt("metrics.jsonl", lambda: self._metrics.append(record))
        else:
            self._metrics.history.append(record)

    def save(self, runner: RunnerState, config: TrainConfig, history: Sequence[Record]) -> None:
        """Write a checkpoint and the curves; where the run's directory does not take them, on the local disk.

        Raises:
            CheckpointError: neither of them can be written to.
        """
        metrics: Mapping[str, Any] = history[-1] if history else {}
        try:
            if not self.is_ours():
                raise CheckpointError(f"another run has taken over {self.run_dir}")
            if not os.path.isdir(self.run_dir):  # making it could hide the folder that is mounted there, and comes back
                raise CheckpointError(f"{self.run_dir} is gone")
            if self.place != self.run_dir:
                self.checkpoints.close()
                self.checkpoints = Checkpoints(self.run_dir / "checkpoints")
            self.checkpoints.save(runner, config, metrics)
        except (CheckpointError, OSError) as error:
            self._save_copy(error, runner, config, history)
            return
        if self.place != self.run_dir:
            self._warn(f"{self.run_dir} can be written to again: the run is saved there, as before")
            self.place = self.run_dir
            self._told.clear()
        self._attempt("config.json", lambda: _write_config(self.run_dir, config))  # its length may have changed
        self._attempt("curves.png", lambda: save_curves(history, self.run_dir / "curves.png"))

    def _save_copy(self, why: Exception, runner: RunnerState, config: TrainConfig, history: Sequence[Record]) -> None:
        if self.place == self.run_dir:
            try:
                self.place = Path(tempfile.mkdtemp(prefix="hackmatrix-")) / self.run_dir.name
            except OSError as error:
                raise CheckpointError(f"{why}; nor can a copy be kept: {error}") from error
            rest = "Training goes on, and the run is saved in {} until that is possible again"
            self._warn(f"{why}. {(rest if self.is_ours() else 'This one ends, and is saved in {}').format(self.place)}")
        copy = Checkpoints(self.place / "checkpoints")
        copy.save(runner, config, history[-1] if history else {})
        copy.close()
        self._attempt(str(self.place / "config.json"), lambda: _write_config(self.place, config))
        metrics = MetricsFile(self.place / "metrics.jsonl")
        metrics.history = list(history)
        self._attempt(str(metrics.path), metrics.write)
        self._attempt(str(self.place / "curves.png"), lambda: save_curves(history, self.place / "curves.png"))

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        """Write a file, or say once that this is not possible."""
        try:
            write()
        except Exception as error:  # of the system, or of what draws the picture
            if name not in self._told:
                self._told.add(name)
                self._warn(f"{self.run_dir / name} cannot be written ({error}). Training goes on without it")
        else:
            self._told.discard(name)

    @staticmethod
    def _warn(text: str) -> None:
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _write_config(directory: Path, config: TrainConfig) -> None:
    text = json.dumps(config.to_dict(), indent=2) + "\n"
    temporary = directory / "config.tmp"
    temporary.write_text(text)
    os.replace(temporary, directory / "config.json")
