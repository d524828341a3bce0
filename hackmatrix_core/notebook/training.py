"""Training in a cell, and the curves of runs."""

import asyncio
import importlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

from hackmatrix_core.agent.policy import Policy
from hackmatrix_core.notebook.settings import SMOKE, NotebookStop
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.history import Record, read_metrics
from hackmatrix_core.training.loading import load_policy, stored_params
from hackmatrix_core.training.progress import LiveDisplay
from hackmatrix_core.training.selection import better, rival
from hackmatrix_core.training.trainer import Trainer, TrainResult
from hackmatrix_core.viewing.charts import plot_bands
from hackmatrix_core.viewing.waiting import Waiting

_GAMES = 500


async def train(
    config: TrainConfig, run_dir: str | os.PathLike, *, minutes: float | None = None, start_from: str = ""
) -> TrainResult:
    """Train, or go on training: `result = await notebook.train(config, run_dir, minutes=3)`.

    It is `hm.Trainer(config, run_dir, resume=True, minutes=minutes, fit=True).run()` in a thread, so that the notebook
    stays responsive; without minutes, or at small size, the config decides how long. The stop button and the cell's
    interrupt (■) both end it after the update in progress; the run is saved, and the cells below go on. A new run
    starts with the network of the agent `start_from`, if one is named, as `load_policy` takes it.

    Raises:
        UserError: the folder or the agent cannot be used.
    """
    live, fit = LiveDisplay(), minutes is not None and not SMOKE
    try:
        start = stored_params(str(start_from))[0] if start_from else None
        try:
            trainer = Trainer(config, run_dir, None, [live], resume=True, minutes=minutes, fit=fit, start_from=start)
        except ValueError as error:
            raise NotebookStop(str(error)) from None
        run = asyncio.ensure_future(asyncio.to_thread(trainer.run))
        while not run.done():
            try:
                await asyncio.wait([run], timeout=0.2)
                live.tick()
                _handle_widget_messages()
            except asyncio.CancelledError:  # how a kernel interrupts a cell that awaits
                trainer.stop()
        result = run.result()
    finally:
        live.close()
    if result.saved_in != trainer.run_dir:
        print(
            f"{trainer.run_dir} cannot be written to: the run is saved in {result.saved_in}, on this machine's disk. "
            "The cells below use it there. Before the machine goes, take it home with the last of them."
        )
    return result


def trained(result: TrainResult) -> Policy:
    """The policy that a run has learned, from where it is saved; a sentence tells if the run has learned nothing.

    Where training was notably better before its end, games decide between the last and the best checkpoint.
    """
    if int(result.runner.update):
        update = rival(result.saved_in)
        if update is None:
            return load_policy(result.saved_in)
        games = 4 if SMOKE else _GAMES
        with Waiting(f"playing {games} games each with the last and the best checkpoint") as line:
            checkpoint, why = better(result.saved_in, update, jax.random.key(0), games, line.reached)
        print(why)
        return load_policy(result.saved_in, checkpoint=checkpoint)
    print(
        "Training was stopped before its first update, so this agent has learned nothing: run Train again. Below, "
        "random play stands in for it."
    )
    return load_policy("random")


def take_home(run_dir: Path, download: bool = False) -> None:
    """Pack a run's folder into a file beside it; on Colab, if asked, the browser downloads that."""
    file = Path(shutil.make_archive(str(run_dir), "zip", run_dir.parent, run_dir.name))
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file
    print(f"{shown}: {file.stat().st_size / 1e6:.1f} MB, with checkpoints, metrics, curves and replay.")
    if download and "google.colab" in sys.modules:
        importlib.import_module("google.colab.files").download(str(file))


def compare_runs(*folders: Path) -> Figure | None:
    """The curves of all runs in these folders over each other: games won, return, entropy, use of the siphon.

    Runs that differ only in the seed are one curve, with a band: their mean and its 95 % interval.
    """
    # Of folders with the same name the last one counts: a copy of a run that could not be written to any more.
    files = {path.parent.name: path for runs in folders for path in sorted(runs.glob("*/metrics.jsonl"))}
    groups: dict[str, dict[str, Sequence[Record]]] = {}
    for name, path in files.items():
        if history := read_metrics(path):
            groups.setdefault(_settings(path.parent), {})[name] = history
    if not groups:
        print("No run has learned anything yet: run Train again.")
        return None
    names = {
        key: f"{next(iter(runs))} and {len(runs) - 1} more" if len(runs) > 1 else next(iter(runs))
        for key, runs in groups.items()
    }
    return plot_bands({names[key]: list(runs.values()) for key, runs in groups.items()})


def _settings(run_dir: Path) -> str:
    """What a run has in common with those of other seeds; a run without a config has nothing."""
    try:
        config = json.loads((run_dir / "config.json").read_text())
        return json.dumps({name: value for name, value in config.items() if name not in ("seed", "total_timesteps")})
    except (OSError, ValueError, AttributeError):
        return str(run_dir)


def _handle_widget_messages() -> None:
    """Handle what widgets have sent. ipykernel 6, which Colab has, leaves it in a queue until the cell has ended."""
    from IPython import get_ipython

    kernel: Any = getattr(get_ipython(), "kernel", None)
    queue: Any = getattr(kernel, "msg_queue", None)
    for _ in range(queue.qsize() if queue else 0):
        item = queue.get_nowait()
        sender, message = kernel.session.feed_identities(item[-1][-1], copy=False)
        if kernel.session.unpack(message[1].bytes)["msg_type"] == "comm_msg":
            content = kernel.session.deserialize(message, copy=False)  # once: it takes a second time for a forgery
            kernel.shell_handlers["comm_msg"](kernel.shell_stream, sender, content)
        else:
            queue.put_nowait(item)
