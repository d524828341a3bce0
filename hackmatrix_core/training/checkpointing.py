"""Saving and restoring the whole state of a training run, with orbax.

A checkpoint has three items: `policy` (the network's parameters), `training` (everything else of the runner) and
`about` (JSON: config, metrics, shapes, checksum). Orbax writes each into a temporary folder and renames it at the
end, so a run that is killed leaves only complete ones.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from hackmatrix_core.errors import UserError
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.keys import as_plain
from hackmatrix_core.training.runner import RunnerState

_BEST = "episode_return"
_MAY_CHANGE = {"total_timesteps"}
"""Fields in which a resumed run may differ from the run that it continues. Annealing follows the new length."""


class CheckpointError(UserError):
    """A checkpoint cannot be written, or cannot be used as asked; the message says what to do."""


class Checkpoints:
    """The checkpoints in one folder, one subfolder per update number: the last few and the best.

    Args:
        directory: local, mounted (a Drive) or relative path; created if it does not exist.
        keep: how many of the latest to keep; the one with the best mean return is kept as well.

    Raises:
        CheckpointError: the folder cannot be made or written to.
    """

    def __init__(self, directory: str | os.PathLike, keep: int = 3) -> None:
        self.directory = Path(os.path.expanduser(directory)).absolute()
        _check_writable(self.directory)
        policies = checkpoint_managers
        last_and_best = policies.AnyPreservationPolicy(
            [
                policies.LatestN(keep),
                policies.BestN(
                    # Where no episode ended there is no metric, and so no best one.
                    get_metric_fn=lambda metrics: metrics[_BEST],
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._manager = _open(self.directory, preservation_policy=last_and_best)

    @property
    def updates(self) -> list[int]:
        """The update numbers of all complete checkpoints, in ascending order."""
        return sorted(self._manager.all_steps())

    def reload(self) -> None:
        """Look again at what the folder holds, which others may have changed; raises as the class does."""
        _check_writable(self.directory)
        self._manager.reload()

    def check_space(self, runner: Any) -> None:
        """Raise a CheckpointError unless there is room for two checkpoints of this (abstract) runner."""
        needed = 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(as_plain(runner)))
        if (free := shutil.disk_usage(self.directory).free) < needed:
            raise CheckpointError(
                f"{self.directory} has {_size(free)} free, two checkpoints need {_size(needed)}. "
                "Free some space or choose another run directory"
            )

    def save(self, runner: RunnerState, config: TrainConfig, metrics: Mapping[str, float | None]) -> None:
        """Write one checkpoint; returns when it is complete on disk.

        Args:
            runner: its `update` names the checkpoint; an update that was saved before is left as it is.
            config: of the run.
            metrics: `episode_return` decides which checkpoint is the best; if it is
                missing, None or NaN (no episode ended), this one cannot be.
        """
        arrays = jax.device_get(as_plain(runner))
        update = int(arrays.update)
        if update in self._manager.all_steps():
            return
        mean_return = metrics.get(_BEST)
        if mean_return is not None:
            mean_return = None if np.isnan(mean_return) else float(mean_return)
        policy, training = _items(arrays)
        about = {
            "config": config.to_dict(),
            "shapes": _shapes(arrays),
            "checksum": _checksum(arrays),
            "policy_checksum": _checksum(policy),
            "episode_return": mean_return,
        }
        try:
            is_written = self._manager.save(
                update,
                args=ocp.args.Composite(
                    policy=ocp.args.StandardSave(policy),
                    training=ocp.args.StandardSave(training),
                    about=ocp.args.JsonSave(about | {"digest": _digest(about)}),
                ),
                metrics=None if mean_return is None else {_BEST: mean_return},
            )
            self._manager.wait_until_finished()
        except Exception as error:  # whatever stands between here and the disk: orbax, tensorstore, the system
            raise CheckpointError(
                f"the checkpoint of update {update} could not be written to {self.directory}: {_reason(error)}"
            ) from error
        if not is_written:  # orbax takes only what is newer than all that it has
            raise CheckpointError(
                f"{self.directory} has a checkpoint of update {self.updates[-1]}, and this run is at {update}: another "
                "run has saved there"
            )

    def stored_config(self) -> TrainConfig | None:
        """The config of the newest checkpoint whose description can be read, or None if there is none."""
        for update in reversed(self.updates):
            try:
                about = _read_about(self._manager, update)
            except Exception as error:
                _warn_damaged(update, error)
                continue
            return config_in(about, self.directory)
        return None

    def restore_newest(self, template: Any, config: TrainConfig) -> RunnerState | None:
        """The runner, with plain keys, of the newest checkpoint that is intact, or None if there is no checkpoint.

        A damaged one causes a warning and is set aside (renamed to `UPDATE.damaged` next to the folder), and the
        one before it is used.

        Args:
            template: the runner's shapes and dtypes, as `jax.eval_shape` gives them.
            config: of the resumed run; it may differ from the stored one in `total_timesteps`.

        Raises:
            CheckpointError: config or shapes differ (the message names the fields), or all checkpoints are damaged.
        """
        updates = self.updates
        damaged = []
        for update in reversed(updates):
            try:
                about = _read_about(self._manager, update)
            except Exception as error:
                _warn_damaged(update, error)
                damaged.append(update)
                continue
            _check_config(config, config_in(about, self.directory), self.directory)
            _check_shapes(template, about["shapes"], self.directory)
            try:
                runner = self._restore(update, template, about["checksum"])
            except Exception as error:
                _warn_damaged(update, error)
                damaged.append(update)
                continue
            self._put_aside(damaged)
            return runner
        if updates:
            raise CheckpointError(
                f"all checkpoints in {self.directory} are damaged. Start over in another run directory"
            )
        return None

    def close(self) -> None:
        """Release what orbax holds."""
        self._manager.close()

    def _restore(self, update: int, template: Any, checksum: int) -> RunnerState:
        abstract = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), as_plain(template))
        policy, training = _items(abstract)
        items = ocp.args.Composite(policy=ocp.args.StandardRestore(policy), training=ocp.args.StandardRestore(training))
        with _quiet_if_it_fails():
            restored = self._manager.restore(update, args=items)
        arrays = RunnerState(params=restored["policy"], **restored["training"])
        if _checksum(arrays) != checksum:
            raise ValueError("its contents do not match its checksum")
        return arrays

    def _put_aside(self, updates: list[int]) -> None:
        for update in updates:
            target = self.directory.with_name(f"{self.directory.name}.{update}.damaged")
            shutil.rmtree(target, ignore_errors=True)
            (self.directory / str(update)).rename(target)
        if updates:
            self._manager.reload()


def load_params(directory: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """The network's parameters of the newest checkpoint in a folder, and its description (`about`) with its `update`.

    Args:
        directory: a run directory, its folder `checkpoints`, or one checkpoint in it.

    Raises:
        CheckpointError: there is no checkpoint, or it cannot be read.
    """
    path = Path(os.path.expanduser(directory)).absolute()
    path = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    folder, update = (path.parent, int(path.name)) if path.name.isdigit() else (path, None)
    if folder.is_file():
        raise CheckpointError(f"{folder} is a file. Give the directory of a training run")
    if not folder.is_dir():
        raise CheckpointError(f"{folder} does not exist. Give the directory of a training run")
    manager = _open(folder)
    try:
        update = manager.latest_step() if update is None else update
        if update is None or update not in manager.all_steps():
            raise CheckpointError(
                f"{path} holds no checkpoint. Give the directory of a training run that has saved one"
            )
        about = _read_about(manager, update)
        with _quiet_if_it_fails():
            policy = manager.restore(update, args=ocp.args.Composite(policy=ocp.args.StandardRestore()))["policy"]
        if about.get("policy_checksum", _checksum(policy)) != _checksum(policy):
            raise ValueError("the network's parameters do not match their checksum")
        if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(policy)):
            raise ValueError("the network's parameters are not all finite")
        return jax.tree.map(jnp.asarray, policy), about | {"update": update}
    except CheckpointError:
        raise
    except Exception as error:  # what damage does to the readers of orbax is not one kind of error
        raise CheckpointError(
            f"the checkpoint {folder / str(update)} cannot be read: {_reason(error)}. Another one may be whole: give "
            f"its folder, one of those in {folder}"
        ) from error
    finally:
        manager.close()


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
    """Raise a CheckpointError unless the parameters of a network to start from have the expected shapes."""
    if different := _differences(_shapes(expected), _shapes(given)):
        raise CheckpointError(
            f"the network to start from has another shape: {'; '.join(different.values())}. Set hidden_dim, "
            "num_layers and cell_dim to those of its run"
        )


@contextlib.contextmanager
def _quiet_if_it_fails() -> Iterator[None]:
    """Reads that are in progress when one fails outlive their event loop, and Python would report each of them."""
    told = sys.unraisablehook

    def tell(event: Any) -> None:
        if not (isinstance(event.exc_value, RuntimeError) and str(event.exc_value) == "Event loop is closed"):
            told(event)

    tell.is_quiet = True  # type: ignore[attr-defined]
    if getattr(told, "is_quiet", False):  # an earlier read has failed
        yield
        return
    sys.unraisablehook = tell
    yield
    sys.unraisablehook = told  # not after a failure: the last reads may end late


def _open(directory: Path, **options: Any) -> ocp.CheckpointManager:
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax logs every step; its errors are raised as well
    return ocp.CheckpointManager(
        directory,
        options=ocp.CheckpointManagerOptions(
            create=False,
            enable_async_checkpointing=False,
            # Of several processes only the first one has the files.
            multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}),
            **options,
        ),
        item_names=("policy", "training", "about"),
    )


def _read_about(manager: ocp.CheckpointManager, update: int) -> dict[str, Any]:
    about = manager.restore(update, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"]
    if about.pop("digest") != _digest(about):
        raise ValueError("its description does not match its checksum")
    return about


def _digest(about: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def _items(runner: RunnerState) -> tuple[Any, dict[str, Any]]:
    training = runner._asdict()
    return training.pop("params"), training


def _shapes(runner: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(as_plain(runner))
    return {jax.tree_util.keystr(path): f"{leaf.dtype.name}{list(leaf.shape)}" for path, leaf in leaves}


def _checksum(runner: Any) -> int:
    checksum = 0
    for leaf in jax.tree.leaves(runner):
        checksum = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), checksum)
    return checksum


def _check_writable(directory: Path) -> None:
    probe = directory / ".writable"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be written to ({error}). Choose another run directory") from error


def _check_config(config: TrainConfig, stored: TrainConfig, directory: Path) -> None:
    differences = {k: v for k, v in config.differences(stored).items() if k not in _MAY_CHANGE}
    if differences:
        named = ", ".join(f"{name} is {mine}, stored is {theirs}" for name, (mine, theirs) in differences.items())
        raise CheckpointError(
            f"the run in {directory.parent} has a different config: {named}. Resume with the stored values (only "
            f"{', '.join(_MAY_CHANGE)} may change), or start over in another run directory"
        )


def _check_shapes(template: Any, stored: dict[str, str], directory: Path) -> None:
    different = list(_differences(_shapes(template), stored).values())
    if different:
        raise CheckpointError(
            f"the checkpoints in {directory} were made by a different version or environment: "
            f"{', '.join(different[:5])}{' and others' if len(different) > 5 else ''}. Start over in another run "
            "directory"
        )


def _differences(expected: dict[str, str], stored: dict[str, str]) -> dict[str, str]:
    """What differs between the shapes of two trees, by the names of their arrays, in words."""
    return {
        name: f"{name} is {expected.get(name, 'absent')}, stored is {stored.get(name, 'absent')}"
        for name in sorted(set(expected) | set(stored))
        if expected.get(name) != stored.get(name)
    }


def _warn_damaged(update: int, error: Exception) -> None:
    warnings.warn(
        f"the checkpoint of update {update} is damaged and is not used ({_reason(error)})",
        stacklevel=3,
    )


def _reason(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else repr(error)


def _size(count: int) -> str:
    """A number of bytes, in a unit that shows how much it is."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if count >= _UNITS[unit]), "bytes")
    return f"{count / _UNITS[unit]:,.0f} {unit}"


_UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "bytes": 1}
