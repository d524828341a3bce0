"""A run's metrics for experiment trackers: TensorBoard and Weights & Biases, where these are installed."""

import importlib
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

from hackmatrix_core.errors import UserError
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.progress import Progress


class TensorBoard:
    """Writes event files that TensorBoard shows, one point per update.

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
        """Write the last update's metrics."""
        if progress.phase == "compiling":
            self._writer = self._package.SummaryWriter(str(self._directory))
        if progress.is_new:
            for name, value in progress.history[-1].items():
                if value is not None:
                    self._writer.add_scalar(name, value, progress.steps)
        if progress.phase == "done":
            self._writer.close()


class WeightsAndBiases:
    """Sends metrics to Weights & Biases; the environment variable WANDB_MODE=offline keeps them in the run's directory.

    Args:
        run_dir: of the run. A resumed run continues in the tracker.
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
        """Send the last update's metrics."""
        if progress.phase == "compiling":
            self._run = self._started()
        if progress.is_new:
            self._run.log({name: value for name, value in progress.history[-1].items() if value is not None})
        if progress.phase == "done":
            self._run.finish()

    def _started(self) -> Any:
        kept = self._run_dir / "wandb-id"
        if not kept.exists():
            kept.write_text(uuid.uuid4().hex[:8])
        try:
            return self._wandb.init(
                project="hackmatrix",
                name=self._run_dir.name,
                id=kept.read_text(),
                resume="allow",
                dir=self._run_dir,
                config=self._config.to_dict(),
            )
        except self._wandb.Error as error:
            raise UserError(
                f"Weights & Biases did not start: {error}. WANDB_MODE=offline works without a connection"
            ) from error


def _imported(package: str, option: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"{option} needs the package {package}: pip install {package}") from error
