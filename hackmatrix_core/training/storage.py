"""Where a run is kept: its directory, or a copy on the local disk for as long as that cannot be written to.

A file that cannot be written never ends a run. This is told once, and the file is written when that is possible again.
"""

import contextlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hackmatrix_core.training import lock
from hackmatrix_core.training.checkpoints import CheckpointError, Checkpoints, unused
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.history import MetricsFile, Record, lately
from hackmatrix_core.training.runner import RunnerState
from hackmatrix_core.viewing.charts import save_curves


class Storage:
    """The files of a run.

    Args:
        run_dir: of the run; created if it does not exist.
        resume: whether there may be a run already.

    Attributes:
        rewind: the update to go on from, of which `run_dir` has a checkpoint; None for the newest.
        place: the directory that holds the newest checkpoint: `run_dir`, or the local copy.
        checkpoints: those in `run_dir`.
        holds_lock: False once another run has taken `run_dir` over; nothing is written there any more.

    Raises:
        CheckpointError: the directory cannot be made or written to, is in use, holds a run that is not resumed, or has
            no checkpoint to go back to.
    """

    def __init__(self, run_dir: Path, resume: bool, rewind: int | None = None) -> None:
        lock.check_free(run_dir)
        self.run_dir = self.place = run_dir
        self.holds_lock: Callable[[], bool] = lambda: True
        self._resumes = resume
        self.rewind = rewind
        self._told: set[Path] = set()
        self._open()

    def _open(self) -> None:
        self.checkpoints = Checkpoints(self.run_dir / "checkpoints")
        if self.checkpoints.updates and not self._resumes:
            raise CheckpointError(f"{self.run_dir} already holds a run. Resume it, or choose another run directory")
        if self.rewind is not None:
            self.checkpoints.after(self.rewind)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the directory; raises as the class does, for what others have done there since."""
        with lock.locked(self.run_dir) as self.holds_lock:
            self._open()
            self._resumes = True  # what is there from now on is this run
            yield

    def begin(self, config: TrainConfig, update: int) -> list[Record]:
        """Write the config, and give the metrics of the updates so far; what is newer is set aside after a rewind."""
        if self.rewind is not None:
            self._set_aside(update)
            self.rewind = None
        self._write_config(self.run_dir, config)
        self._metrics = MetricsFile(self.run_dir / "metrics.jsonl", update)
        self.attempt(self._metrics.path, self._metrics.write)
        return self._metrics.history

    def _set_aside(self, update: int) -> None:
        """Move what is newer than a checkpoint into a folder of its own, which is a run directory as well.

        The newest checkpoint goes last: as long as it is there, the run is as it was.
        """
        later = self.checkpoints.after(update)
        if not later:
            return
        aside = unused(self.run_dir / f"after-{update}")
        ends = ["curves.png", "replay.html", "evaluation.json", *(f"evaluation-{number}.json" for number in later)]
        try:
            (aside / "checkpoints").mkdir(parents=True)
            for name in ("config.json", "metrics.jsonl"):  # they are written anew, with what holds for both
                if (self.run_dir / name).is_file():
                    shutil.copyfile(self.run_dir / name, aside / name)
            # A tracker that goes on with its own run would take no update twice.
            for name in (*ends, "wandb-id", *(f"checkpoints/{number}" for number in later)):
                if (self.run_dir / name).exists():
                    (self.run_dir / name).rename(aside / name)
        except OSError as error:
            raise CheckpointError(
                f"what is newer than update {update} in {self.run_dir} cannot be set aside ({error}). Resume it in a "
                "copy of that directory"
            ) from error

    def append(self, record: Record) -> None:
        """Add the metrics of one update."""
        self._metrics.history.append(record)
        if self.holds_lock():
            self.attempt(self._metrics.path, self._metrics.write)

    def save(self, runner: RunnerState, config: TrainConfig, history: Sequence[Record]) -> None:
        """Write a checkpoint and the curves; where the run's directory does not take them, on the local disk.

        Raises:
            CheckpointError: neither of them can be written to.
        """
        try:
            if not self.holds_lock():
                raise CheckpointError(f"another run has taken over {self.run_dir}")
            if not os.path.isdir(self.run_dir):  # making it could hide the folder that is mounted there, and comes back
                raise CheckpointError(f"{self.run_dir} is gone")
            self._write(self.run_dir, runner, config, history)
        except (CheckpointError, OSError) as error:
            self._choose_local_copy(error)
            self._write(self.place, runner, config, history)
            metrics = MetricsFile(self.place / "metrics.jsonl")
            metrics.history = list(history)
            self.attempt(metrics.path, metrics.write)
        else:
            if self.place != self.run_dir:
                self._warn(f"{self.run_dir} can be written to again: the run is saved there, as before")
                self.place = self.run_dir
                self._told.clear()

    def _write(self, place: Path, runner: RunnerState, config: TrainConfig, history: Sequence[Record]) -> None:
        Checkpoints(place / "checkpoints").save(runner, config, lately(history, config.quality_metric))
        self._write_config(place, config)  # its length may have changed
        self.attempt(place / "curves.png", lambda: save_curves(history, place / "curves.png"))

    def _choose_local_copy(self, why: Exception) -> None:
        if self.place != self.run_dir:
            return
        try:
            self.place = Path(tempfile.mkdtemp(prefix="hackmatrix-")) / self.run_dir.name
        except OSError as error:
            raise CheckpointError(f"{why}; nor can a copy be kept: {error}") from error
        if self.holds_lock():
            self._warn(f"{why}. Training goes on, and the run is saved in {self.place} until that is possible again")
        else:
            self._warn(f"{why}. This one ends, and is saved in {self.place}")

    def _write_config(self, place: Path, config: TrainConfig) -> None:
        def write() -> None:
            temporary = place / "config.tmp"
            temporary.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
            temporary.replace(place / "config.json")

        self.attempt(place / "config.json", write)

    def attempt(self, path: Path, write: Callable[[], None]) -> None:
        """Write a file, or say once that this is not possible."""
        try:
            write()
        except Exception as error:  # of the system, or of what draws the picture
            if path not in self._told:
                self._told.add(path)
                self._warn(f"{path} cannot be written ({error}). Training goes on without it")
        else:
            self._told.discard(path)

    @staticmethod
    def _warn(text: str) -> None:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
