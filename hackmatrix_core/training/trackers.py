"""A run's metrics for experiment trackers: TensorBoard and Weights & Biases, where these are installed."""

import importlib
import os
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

from hackmatrix_core.errors import UserError
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.progress import Progress


class TensorBoard:
    """Writes event files that TensorBoard shows, one point per update, by environment steps.

    A resumed run begins with all of its history, in place of earlier files, which may have updates that were lost.

    Args:
        run_dir: of the run; the files go into its folder `tensorboard`.

    Raises:
        UserError: the package tensorboardX is not installed.
    """

    def __init__(self, run_dir: Path) -> None:
        self._package = _imported("tensorboardX", "--tensorboard")
        self._directory = run_dir / "tensorboard"
        self._writer: Any = None

    def __call__(self, progress: Progress) -> None:
        """Write the metrics that are new."""
        if self._writer is None:
            self._writer, self._written = self._package.SummaryWriter(str(self._directory), purge_step=1), 0
        summary = self._package.proto.summary_pb2.Summary
        for record in progress.history[self._written :]:  # each as one event, which is much faster than `add_scalar`
            values = [summary.Value(tag=name, simple_value=x) for name, x in record.items() if x is not None]
            self._writer.file_writer.add_summary(summary(value=values), record["steps"])
        self._written = len(progress.history)
        if progress.phase == "done":
            self._writer = self._writer.close()


class WeightsAndBiases:
    """Sends metrics to Weights & Biases; the environment variable WANDB_MODE=offline keeps them in the run's directory.

    Its steps are updates, the axis of its charts shows environment steps. A resumed run continues in the tracker, which
    takes no update twice. Offline it cannot: each part holds the whole history, so sync the last one alone. Variables
    such as WANDB_PROJECT and WANDB_NAME go before what is chosen here.

    Args:
        run_dir: of the run.
        config: of the run.

    Raises:
        UserError: the package wandb is not installed, or it cannot start.
    """

    def __init__(self, run_dir: Path, config: TrainConfig) -> None:
        self._wandb = _imported("wandb", "--wandb")
        self._run_dir = run_dir
        self._config = config
        self._run: Any = None

    def __call__(self, progress: Progress) -> None:
        """Send the metrics that are new."""
        if self._run is None:
            self._run, self._sent = self._started(), 0
        for record in progress.history[self._sent :]:
            if record["update"] >= self._run.starting_step:  # type: ignore[operator]  # a number in every record
                values = {name: value for name, value in record.items() if value is not None}
                self._run.log(values, step=record["update"], commit=True)
        self._sent = len(progress.history)
        if progress.phase == "done":
            self._run = self._run.finish()

    def _started(self) -> Any:
        kept = self._run_dir / "wandb-id"
        if not kept.exists():
            kept.write_text(uuid.uuid4().hex[:8])
        chosen = {
            "project": os.environ.get("WANDB_PROJECT") or "hackmatrix",
            "name": os.environ.get("WANDB_NAME") or self._run_dir.name,
            "id": os.environ.get("WANDB_RUN_ID") or kept.read_text(),
            "resume": os.environ.get("WANDB_RESUME") or "allow",
            "dir": os.environ.get("WANDB_DIR") or self._run_dir,
        }
        try:
            run = self._wandb.init(config=self._config.to_dict(), **chosen)
            run.define_metric("*", step_metric="steps")
            return run
        except self._wandb.Error as error:
            raise UserError(
                f"Weights & Biases did not start: {error}. WANDB_MODE=offline works without a connection"
            ) from error


def _imported(package: str, option: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"{option} needs the package {package}: pip install {package}") from error
