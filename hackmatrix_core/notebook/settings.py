"""Before training: JAX, the config that suits the device, the folder of the run, and whether the two fit together."""

import importlib
import json
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax

from hackmatrix_core.errors import UserError
from hackmatrix_core.game.vectorization.backend import devices_of_cores
from hackmatrix_core.training.compilation import keep_compiled_programs
from hackmatrix_core.training.config import NETWORK, PRESETS, TrainConfig
from hackmatrix_core.training.loading import stored_params
from hackmatrix_core.training.tuning import GIB, estimate_memory, get_device_config, preset_for_device
from hackmatrix_core.viewing.tables import Table

SMOKE = os.environ.get("HACKMATRIX_SMOKE") == "1"
"""Whether the notebooks run at a small size, as in tests."""
_SMALL = {
    "num_envs": 8,
    "num_minibatches": 2,
    "num_steps": 32,
    "total_timesteps": 1024,
    "hidden_dim": 32,
    "cell_dim": 4,
}
_DRIVE = Path("/content/drive")
_DEVICES = {"cpu": "plain CPU", "t4": "T4 GPU", "gpu": "GPU of more than 16 GB", "tpu": "TPU"}


class NotebookStop(UserError):
    """Ends a cell, and with it "Run all", with one sentence that says what to do."""


def start(*, drive: bool = False) -> Path:
    """Use all cores of a CPU, keep compiled programs for the next time, and print what JAX computes on.

    Args:
        drive: keep runs, and what is compiled for them, in your Google Drive, which asks for access here. Ignored
            outside Colab.

    Returns:
        The folder for runs: on your Drive, or `runs` beside the notebook. At small size a new, temporary one.
    """
    devices_of_cores()
    warnings.formatwarning = lambda message, kind, *_, **__: f"{kind.__name__}: {message}\n"  # no line of our code
    runs, compiled = Path(tempfile.mkdtemp()) if SMOKE else Path("runs"), None
    if drive and not SMOKE and "google.colab" in sys.modules:
        try:
            importlib.import_module("google.colab.drive").mount(str(_DRIVE))
            runs = _DRIVE / "MyDrive" / "hackmatrix" / "runs"
            compiled = runs.with_name("compiled")
        except Exception:  # what it raises when access is refused has changed over the years
            print("Google Drive is not connected: runs are kept on this machine's disk, which Colab deletes with it.")
    keep_compiled_programs(compiled)
    print(f"JAX {jax.__version__} on {get_device_config()}")
    return runs


def config_for(preset: str, start_from: str = "", **changes: Any) -> TrainConfig:
    """The preset's config, tuned for the device unless `num_envs` is given; on other devices theirs, with a message.

    Args:
        preset: see `TrainConfig.preset`.
        start_from: the agent whose network the run starts with, which has its sizes then; empty for none.
        changes: fields that differ from the preset's.

    Raises:
        NotebookStop: no such field or agent, or a value is out of range.
    """
    device = get_device_config()
    if start_from:
        stored = stored_params(str(start_from))[1]["config"]
        changes = {name: stored[name] for name in NETWORK if name in stored} | changes
    try:
        TrainConfig.preset(preset, **changes)  # a mistake shows here, on any device
        if device.preset != preset:
            found = f"No {_DEVICES.get(preset, f'device for the preset {preset}')} found, only {device}"
            print(f"{found}: the preset {device.preset} is used instead, with its own sizes.")
        return preset_for_device(device, **changes | (_SMALL if SMOKE else {}))
    except ValueError as error:
        raise NotebookStop(str(error)) from None


def quick_config(total_timesteps: int, **changes: Any) -> TrainConfig:
    """The preset `cpu`, which suits experiments of minutes and many agents side by side on any device, for these steps.

    Args:
        total_timesteps: of the run.
        changes: fields that differ from the preset's.
    """
    return TrainConfig.preset("cpu", **{"total_timesteps": total_timesteps} | changes | (_SMALL if SMOKE else {}))


def run_directory(config: TrainConfig, name: str, runs: Path, start_from: str = "") -> Path:
    """The folder of a run.

    Args:
        config: of the run.
        name: of the folder. If it is empty, the settings name it, as in `cpu-seed=1`: the preset, and what differs
            from it. So other settings are another run, and the same settings find theirs again.
        runs: the folder that holds it, as `start` gives it.
        start_from: as for `config_for`; part of the name, too.
    """
    if name := str(name or "").strip():
        return runs / name
    preset = get_device_config().preset
    changes = {} if SMOKE else config.differences(TrainConfig.preset(preset))
    end = "".join(f"-{field}={_plain(value)}" for field, (value, _) in changes.items())
    end += f"-from={Path(str(start_from)).name}" if start_from else ""
    run_dir = runs / f"{preset}{end}"
    for other in PRESETS if _updates(run_dir) is None else ():
        if _updates(runs / f"{other}{end}") is not None:
            print(
                f"Your run {other}{end} stays as it is: it began on another device ({_DEVICES.get(other, other)}), and "
                f"goes on as soon as you have one again. Here {run_dir.name} begins."
            )
    return run_dir


def doctor(config: TrainConfig, run_dir: Path, minutes: float = 1) -> Table:
    """What was found here, what was chosen for it, and whether there is a run to continue.

    Raises:
        NotebookStop: there is a run, and it began with other settings; or `minutes` is no time to train.
    """
    if type(minutes) not in (int, float) or not 0 < minutes < math.inf:
        raise NotebookStop(f"minutes is {minutes!r}, expected a number above 0: how long to train, as in 3 or 0.5")
    updates = _updates(run_dir)
    if updates is not None:
        _check(config, run_dir)
    folder = next(path for path in (run_dir.absolute(), *run_dir.absolute().parents) if path.exists())
    standing = "is new" if updates is None else f"continues after update {updates}"
    rows = [
        ("", "found here, and chosen for it"),
        ("device", f"{get_device_config()}, JAX {jax.__version__}"),
        ("memory", f"about {estimate_memory(config) / GIB:.2f} GiB needed"),
        ("update", f"{config.num_envs} games side by side × {config.num_steps} steps = {config.batch_size:,} steps"),
        ("run", f"{run_dir.name if SMOKE else run_dir} {standing}"),
        ("disk", f"{shutil.disk_usage(folder).free / GIB:.1f} GiB free"),
        ("config", ", ".join(f"{name}={value}" for name, value in config.to_dict().items() if value is not None)),
    ]
    return Table(rows, left=2)


def _plain(value: Any) -> str:
    """A setting as it may stand in the name of a folder: 0.03, or kills=3,victory=1."""
    if isinstance(value, dict):
        return ",".join(f"{name}={weight:.10g}" for name, weight in value.items()) or "none"
    return f"{value:.10g}" if isinstance(value, int | float) else re.sub(r"[^\w.=,-]+", "-", str(value)).strip("-")


def _check(config: TrainConfig, run_dir: Path) -> None:
    """Stop with a sentence if the run began with other settings."""
    try:
        stored = TrainConfig.from_dict(json.loads((run_dir / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return  # training itself will tell what is wrong with it
    if changes := config.differences(stored):
        named = " and ".join(f"{field} = {_plain(old)}, not {_plain(new)}" for field, (new, old) in changes.items())
        hint = ""
        if not changes.keys().isdisjoint(("num_envs", "num_steps", "num_minibatches")):
            hint = " Sizes differ between devices: on Colab, Runtime → Change runtime type gives the former one back."
        raise NotebookStop(
            f"{run_dir.name} began with {named}. Set them back, and it goes on; or clear run_name or change it, and "
            f"these settings get a run of their own.{hint}"
        )


def _updates(run_dir: Path) -> int | None:
    """The updates of the newest checkpoint in the run's folder, None if there is none."""
    return max((int(path.name) for path in run_dir.glob("checkpoints/*") if path.name.isdigit()), default=None)
