"""Saving and restoring the whole state of a training run, with orbax.

A checkpoint has three items: `policy` (the network's parameters), `training` (everything else of the runner) and
`about` (JSON: config, shapes, how well it played lately). Orbax writes them into a temporary folder and renames it at
the end, so a run that is killed leaves only complete ones. The checksums of all files are added then.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import humanize
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from hackmatrix_core.errors import CheckpointError
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import RunnerState, as_plain, is_finite

Result = TypeVar("Result")
_QUALITY = "quality"
_CHECKSUMS = "checksums.json"


class Checkpoints:
    """The checkpoints in one folder, one subfolder per update number: the last three and the best.

    Args:
        directory: local, mounted (a Drive) or relative path; created if it does not exist.

    Raises:
        CheckpointError: the folder cannot be made or written to.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = Path(directory).expanduser().absolute()
        probe = self.directory / ".writable"
        place = str(self.directory).encode(errors="backslashreplace").decode()
        if "\\" in place or "gs:" in self.directory.parts:  # the libraries below would lose what they write there
            raise CheckpointError(
                f"{place} has a name that is not UTF-8, or a \\ or gs: in it, under which nothing can be saved. Choose "
                "another run directory"
            )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{place} cannot be written to ({error}). Choose another run directory") from error

    @property
    def updates(self) -> list[int]:
        """The update numbers of all complete checkpoints, in ascending order."""
        with _opened(self.directory) as manager:
            return sorted(manager.all_steps())

    def check_space(self, runner: Any) -> None:
        """Raise a CheckpointError unless there is room for two checkpoints of this (abstract) runner."""
        needed = 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(as_plain, runner)))
        if (free := shutil.disk_usage(self.directory).free) < needed:
            free_size, needed_size = (humanize.naturalsize(size, binary=True) for size in (free, needed))
            raise CheckpointError(
                f"{self.directory} has {free_size} free, two checkpoints need {needed_size}. Free some space or choose "
                "another run directory"
            )

    def save(self, runner: RunnerState, config: TrainConfig, quality: float) -> None:
        """Write one checkpoint; returns when it is complete on disk.

        Args:
            runner: its `update` names the checkpoint; an update that was saved before is left as it is.
            config: of the run.
            quality: decides which checkpoint is the best; if it is NaN (no episode ended), this one cannot be.

        Raises:
            CheckpointError: it cannot be written, or the folder has a newer one.
        """
        arrays = jax.device_get(as_plain(runner))
        update, updates = int(arrays.update), self.updates
        if update in updates:
            return
        if updates and update < updates[-1]:
            raise CheckpointError(
                f"{self.directory} has a checkpoint of update {updates[-1]}, and this run is at {update}: another run "
                "has saved there"
            )
        known = {} if np.isnan(quality) else {_QUALITY: float(quality)}
        about = {"config": config.to_dict(), "shapes": _shapes(arrays), **known}
        policy, training = map(ocp.args.StandardSave, _items(arrays))
        try:
            with _opened(self.directory) as manager:
                manager.save(
                    update,
                    args=ocp.args.Composite(policy=policy, training=training, about=ocp.args.JsonSave(about)),
                    metrics=known or None,
                )
                manager.wait_until_finished()
            _write_checksums(self.directory / str(update))
        except Exception as error:  # whatever stands between here and the disk: orbax, tensorstore, the system
            raise CheckpointError(
                f"the checkpoint of update {update} could not be written to {self.directory}: {_reason(error)}"
            ) from error

    def stored_config(self, last: int | None = None) -> TrainConfig | None:
        """The config of the newest checkpoint that is intact, up to the update `last`; None if there is none."""
        config, _ = self._newest_intact(
            lambda manager, update: config_in(_read_about(manager, update), self.directory), last
        )
        return config

    def after(self, update: int) -> list[int]:
        """The updates of the checkpoints that are newer than that of this update.

        Raises:
            CheckpointError: there is none of this update.
        """
        updates = self.updates
        if update not in updates:
            raise CheckpointError(_has_only(self.directory, update, updates))
        return updates[updates.index(update) + 1 :]

    def restore_newest(self, template: Any, config: TrainConfig, last: int | None = None) -> RunnerState | None:
        """The runner, with plain keys, of the newest checkpoint that is intact, or None if there is no checkpoint.

        A damaged one causes a warning and is set aside (renamed to `checkpoints.UPDATE.damaged` beside the folder),
        and the one before it is used.

        Args:
            template: the runner's shapes and dtypes, as `jax.eval_shape` gives them.
            config: of the resumed run; it may differ from the stored one in `total_timesteps`, which annealing follows.
            last: of the updates that count; default all.

        Raises:
            CheckpointError: config or shapes differ (the message names the fields), or all checkpoints are damaged.
        """

        def read(manager: ocp.CheckpointManager, update: int) -> RunnerState:
            about = _read_about(manager, update)
            if changes := config.differences(config_in(about, self.directory)):
                named = ", ".join(f"{name} is {mine}, stored is {theirs}" for name, (mine, theirs) in changes.items())
                raise CheckpointError(
                    f"the run in {self.directory.parent} has a different config: {named}. Resume with the stored "
                    "values (only total_timesteps may change), or start over in another run directory"
                )
            if different := _differences(_shapes(template), about["shapes"]):
                raise CheckpointError(
                    f"the checkpoints in {self.directory} were made by a different version or environment: "
                    f"{', '.join(different[:5])}{' and others' if len(different) > 5 else ''}. Start over in another "
                    "run directory"
                )
            abstract = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(as_plain, template))
            policy, training = map(ocp.args.StandardRestore, _items(abstract))
            restored = manager.restore(update, args=ocp.args.Composite(policy=policy, training=training))
            return RunnerState(params=restored["policy"], **restored["training"])

        runner, damaged = self._newest_intact(read, last)
        if damaged and runner is None:
            raise CheckpointError(
                f"all checkpoints in {self.directory}{'' if last is None else f' up to {last}'} are damaged. Start "
                "over in another run directory"
            )
        for update in damaged:
            target = self.directory.with_name(f"{self.directory.name}.{update}.damaged")
            (self.directory / str(update)).rename(unused(target))
        return runner

    def _newest_intact(
        self, read: Callable[[ocp.CheckpointManager, int], Result], last: int | None = None
    ) -> tuple[Result | None, list[int]]:
        """What is read of the newest checkpoint that can be read, and the updates of damaged ones after it."""
        damaged: list[int] = []
        with _opened(self.directory) as manager:
            updates = [update for update in manager.all_steps() if last is None or update <= last]
            for update in sorted(updates, reverse=True):
                try:
                    return read(manager, update), damaged
                except CheckpointError:
                    raise
                except Exception as error:  # what damage does to the readers of orbax is not one kind of error
                    sentence = f"the checkpoint of update {update} is damaged and is not used ({_reason(error)})"
                    warnings.warn(sentence, stacklevel=3)
                    damaged.append(update)
        return None, damaged


def load_params(directory: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """The network's parameters of the newest checkpoint in a folder, and its description (`about`) with its `update`.

    Args:
        directory: a run directory, its folder `checkpoints`, or one checkpoint in it.

    Raises:
        CheckpointError: there is no checkpoint, it cannot be read, or nothing was trained before it.
    """
    folder, update = find(directory)
    with _opened_run(folder) as manager:
        update = manager.latest_step() if update is None else update
        if update not in manager.all_steps():
            raise CheckpointError(_has_only(folder, update, manager.all_steps()))
        if update == 0:
            raise CheckpointError(
                f"the run in {folder} was stopped before its first update: nothing is trained yet. Resume it"
            )
        try:
            about = _read_about(manager, update)
            policy = manager.restore(update, args=ocp.args.Composite(policy=ocp.args.StandardRestore()))["policy"]
            if not is_finite(policy):
                raise ValueError("the network's parameters are not all finite")
        except Exception as error:
            raise CheckpointError(
                f"the checkpoint {folder / str(update)} cannot be read: {_reason(error)}. Another one may be whole: "
                f"give its folder, one of those in {folder}"
            ) from error
    return jax.tree.map(jnp.asarray, policy), about | {"update": update}


def chosen_update(directory: str | os.PathLike, checkpoint: int | str) -> int:
    """The update of a run's checkpoint: of this number, or the `best` by what it did in training.

    Raises:
        CheckpointError: there is none of this number, or none whose update ended an episode.
    """
    folder, _ = find(directory)
    with _opened_run(folder) as manager:
        numbers = {str(update): update for update in manager.all_steps()}
        best = manager.best_step()
    if checkpoint == "best":
        if best is None:
            raise CheckpointError(
                f"{folder} has no best checkpoint: no episode ended in the updates that were saved. "
                f"Choose one of {_listed(numbers.values())}"
            )
        return int(best)
    if str(checkpoint) not in numbers:
        raise CheckpointError(_has_only(folder, checkpoint, numbers.values()))
    return numbers[str(checkpoint)]


def find(directory: str | os.PathLike) -> tuple[Path, int | None]:
    """The folder of checkpoints that is meant, and the update of a single one in it, by the rules of `load_params`."""
    path = Path(directory).expanduser().absolute()
    if (path / "checkpoints").is_dir():
        return path / "checkpoints", None
    return (path.parent, int(path.name)) if path.name.isdecimal() else (path, None)


def unused(path: Path) -> Path:
    """This path, or one with `-again` behind it, where nothing is yet."""
    while os.path.lexists(path):
        path = path.with_name(f"{path.name}-again")
    return path


def config_in(about: Mapping[str, Any], place: str | os.PathLike) -> TrainConfig:
    """The config in the description of a checkpoint.

    Raises:
        CheckpointError: this version has no such config; names the place.
    """
    try:
        return TrainConfig.from_dict(about["config"])
    except ValueError as error:
        raise CheckpointError(
            f"{place} holds a run of another version of this package: {error}. Use that version, or another run"
        ) from error


def check_network(expected: Any, given: Any) -> None:
    """Raise a CheckpointError unless the parameters of a stored network have the expected shapes."""
    if different := _differences(_shapes(expected), _shapes(given)):
        raise CheckpointError(
            f"the stored network has another shape: {'; '.join(different)}. Set hidden_dim, num_layers and cell_dim, "
            "or network, to those of its run"
        )


@contextlib.contextmanager
def _opened_run(folder: Path) -> Iterator[ocp.CheckpointManager]:
    """A folder of checkpoints that was given by a person; a CheckpointError if it is none."""
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "does not exist"
        raise CheckpointError(f"{folder} {what}. Give the directory of a training run")
    with _opened(folder) as manager:
        if not manager.all_steps():
            raise CheckpointError(
                f"{folder} holds no checkpoint. Give the directory of a training run that has saved one"
            )
        yield manager


def _opened(directory: Path) -> ocp.CheckpointManager:
    """The folder as orbax sees it, to be used with `with`."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax logs every step; its errors are raised as well

    def quality(metrics: Mapping[str, float]) -> float:
        return metrics.get(_QUALITY, -math.inf)  # version 0.2 wrote another measure

    # Where no episode ended there is no metric, and so no best one.
    best = checkpoint_managers.BestN(get_metric_fn=quality, n=1, keep_checkpoints_without_metrics=False)
    return ocp.CheckpointManager(
        directory,
        options=ocp.CheckpointManagerOptions(
            create=False,
            best_fn=quality,  # else orbax keeps no metrics, and the next time does not know which is the best
            enable_async_checkpointing=False,
            preservation_policy=checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(3), best]),
            # Of several processes only the first one has the files.
            multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}),
        ),
        item_names=("policy", "training", "about"),
    )


def _read_about(manager: ocp.CheckpointManager, update: int) -> dict[str, Any]:
    """The description of a checkpoint whose files are as they were written."""
    folder = Path(manager.directory) / str(update)
    if (folder / _CHECKSUMS).exists():  # one of version 0.2 has none
        for name, checksum in json.loads((folder / _CHECKSUMS).read_text()).items():
            if zlib.crc32((folder / name).read_bytes()) != checksum:
                raise ValueError(f"{name} does not match its checksum")
    about: dict[str, Any] = manager.restore(update, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"]
    if not isinstance(about, dict) or not isinstance(about.get("config"), dict):
        raise ValueError("its description has no config")
    return about


def _write_checksums(folder: Path) -> None:
    files = (path for path in folder.rglob("*") if path.is_file())
    checksums = {str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in files}
    (folder / _CHECKSUMS).write_text(json.dumps(checksums))


def _items(runner: RunnerState) -> tuple[Any, dict[str, Any]]:
    training = runner._asdict()
    return training.pop("params"), training


def _shapes(runner: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(as_plain, runner))
    return {jax.tree_util.keystr(path): f"{leaf.dtype.name}{list(leaf.shape)}" for path, leaf in leaves}


def _differences(expected: dict[str, str], stored: dict[str, str]) -> list[str]:
    """What differs between the shapes of two trees, by the names of their arrays, in words."""
    return [
        f"{name} is {expected.get(name, 'absent')}, stored is {stored.get(name, 'absent')}"
        for name in sorted(set(expected) | set(stored))
        if expected.get(name) != stored.get(name)
    ]


def _has_only(folder: Path, checkpoint: int | str, updates: Iterable[int]) -> str:
    return f"{folder} has no checkpoint {checkpoint}. Choose one of {_listed(updates)}"


def _listed(updates: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(updates)))


def _reason(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else repr(error)
