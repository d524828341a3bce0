"""What the notebooks share: starting JAX, where a run is kept, the config that suits the device, training in a cell."""

import asyncio
import importlib
import os
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import jax

from hackmatrix_core.training.config import (
    GIB,
    TrainConfig,
    devices_of_cores,
    estimate_memory,
    get_device_config,
    keep_compiled_programs,
    preset_for_device,
)
from hackmatrix_core.training.trainer import Trainer, TrainResult

SMOKE = os.environ.get("HACKMATRIX_SMOKE") == "1"
"""Whether the notebooks run at a small size, as in tests."""
_SMOKE_SIZES = {
    "num_envs": 8,
    "num_minibatches": 2,
    "num_steps": 32,
    "total_timesteps": 1024,
    "hidden_dim": 32,
    "cell_dim": 4,
}
_DRIVE = Path("/content/drive")


def start() -> None:
    """Use all cores of a CPU, keep compiled programs for the next time, and print what JAX computes on."""
    devices_of_cores()
    keep_compiled_programs()
    print(f"JAX {jax.__version__} on {get_device_config()}")


def run_directory(name: str, *, drive: bool = False) -> Path:
    """The folder of a run, `runs/NAME`: next to the notebook, or with `drive` in your Google Drive.

    Outside Colab `drive` is ignored, with a message. At smoke size the folder is a new, temporary one.
    """
    if SMOKE:
        return Path(tempfile.mkdtemp()) / name
    if drive and "google.colab" in sys.modules:
        importlib.import_module("google.colab.drive").mount(str(_DRIVE))
        return _DRIVE / "MyDrive" / "hackmatrix" / "runs" / name
    if drive:
        print("There is no Google Drive outside Colab: the run is kept on this machine's disk.")
    return Path("runs") / name


def config_for(preset: str, **changes: int | float) -> TrainConfig:
    """The preset's config, tuned for the device unless `num_envs` is given; on other devices theirs, with a message.

    Args:
        preset: see `TrainConfig.preset`.
        changes: fields that differ from the preset's.

    Raises:
        ValueError: no such preset, or a value out of range.
    """
    TrainConfig.preset(preset, **changes)  # a mistake shows here, on any device
    device = get_device_config()
    if device.preset != preset:
        wanted = {"cpu": "plain CPU", "t4": "T4 GPU", "gpu": "GPU of 20 GiB or more", "tpu": "TPU"}
        found = f"No {wanted.get(preset, f'device for the preset {preset}')} found, only {device}"
        print(f"{found}: the preset {device.preset} is used instead, with its own sizes.")
    return preset_for_device(device, **changes | (_SMOKE_SIZES if SMOKE else {}))


def doctor(config: TrainConfig, run_dir: Path) -> None:
    """Print what was found here, what was chosen for it, and whether there is a run to continue."""
    saved = [int(path.name) for path in run_dir.glob("checkpoints/*") if path.name.isdigit()]
    done = max(saved, default=0)
    begins = f"continues after update {done} of {config.num_updates}" if done < config.num_updates else "is complete"
    begins = begins if saved else "is new"
    folder = next(path for path in (run_dir.absolute(), *run_dir.absolute().parents) if path.exists())
    lines = {
        "device": f"{get_device_config()}, JAX {jax.__version__}",
        "memory": f"about {estimate_memory(config) / GIB:.2f} GiB needed",
        "update": f"{config.num_envs} games side by side × {config.num_steps} steps = {config.batch_size:,} steps",
        "run": f"{run_dir.name if SMOKE else run_dir} {begins}",  # a temporary folder is not worth naming
        "disk": f"{shutil.disk_usage(folder).free / GIB:.1f} GiB free",
        "config": ", ".join(f"{name}={value}" for name, value in config.to_dict().items()),
    }
    for name, text in lines.items():
        print(textwrap.fill(f"{name:<8}{text}", 100, subsequent_indent=" " * 8, break_on_hyphens=False))


async def train(trainer: Trainer) -> TrainResult:
    """Train in a thread while the notebook stays responsive: `result = await notebook.train(trainer)`.

    The stop button and the cell's interrupt (■) both end it after the update in progress; the run is saved, and the
    cells below go on.
    """
    run = asyncio.ensure_future(asyncio.to_thread(trainer.run))
    while not run.done():
        try:
            await asyncio.wait([run], timeout=0.2)
            _hear_widgets()
        except asyncio.CancelledError:  # how a kernel interrupts a cell that awaits
            trainer.stop()
    return run.result()


def _hear_widgets() -> None:
    """Handle what widgets have sent. ipykernel 6, which Colab has, leaves it in a queue until the cell has ended."""
    from IPython import get_ipython

    kernel: Any = getattr(get_ipython(), "kernel", None)
    queue = getattr(kernel, "msg_queue", None)
    if queue is None:
        return
    for _ in range(queue.qsize()):
        item = queue.get_nowait()
        *_, frames = item[-1]
        sender, message = kernel.session.feed_identities(frames, copy=False)
        if kernel.session.unpack(message[1].bytes)["msg_type"] == "comm_msg":
            content = kernel.session.deserialize(message, copy=False)
            kernel.shell_handlers["comm_msg"](kernel.shell_stream, sender, content)
        else:
            queue.put_nowait(item)
