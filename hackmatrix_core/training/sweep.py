"""Many agents at once: settings and seeds that train side by side, and what they show together."""

import dataclasses
import json
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from hackmatrix_core.errors import CheckpointError
from hackmatrix_core.training.checkpoints import Checkpoints
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.history import MetricsFile, Record
from hackmatrix_core.training.hyperparameters import VARIABLE
from hackmatrix_core.training.progress import Callback
from hackmatrix_core.training.runner import Environment, RunnerState, as_plain, is_finite, make_agent
from hackmatrix_core.training.side_by_side import AgentGroup, part_of
from hackmatrix_core.training.storage import Storage
from hackmatrix_core.training.sweep_plan import Member, make_plan, programs
from hackmatrix_core.training.sweep_result import SweepResult
from hackmatrix_core.training.trainer import Trainer, TrainResult, training_environment
from hackmatrix_core.training.tuning import get_device_config

_PLAN = "sweep.json"


class Sweep:
    """Agents with different settings and seeds, trained side by side and saved in one directory.

    Those that differ in hyperparameters and seeds advance together in one compiled program, spread over the devices of
    this process; settings that change what is compiled (sizes, for example) become programs of their own, one after the
    other, as do agents that do not fit into memory together. Stopping, saving and resuming are those of `Trainer`. In
    the directory:

    | name | content |
    |---|---|
    | sweep.json | config, settings, seeds |
    | agents/NAME/ | the run directory of an agent, as `Trainer` leaves it, once its program has ended or was stopped |
    | programs/NUMBER/ | from what a program goes on |

    Args:
        config: what the agents have in common.
        vary: what differs, by the name of a field of `TrainConfig`, or of a reward part for its weight: a sequence of
            values, whose combinations are all tried, or a text as on the command line: "3e-4,1e-3" for values, and
            "0.005..0.05" for a range from which is drawn (log-uniform where both ends are above 0).
        seeds: agents of each setting; their seeds count up from the config's.
        run_dir: created if it does not exist.
        env: default HackMatrix.
        draws: settings to draw, where there are ranges.
        minutes: time limit of training for all of them, as for `Trainer`; each program has a share of it.
        fit: make the agents train as long as fits into `minutes`, whatever the config's `total_timesteps`.
        resume: go on with the sweep in `run_dir`.
        callbacks: as for `Trainer`, for each program; their records are means over its agents, and their steps per
            second those of all.
        save_every: seconds between checkpoints.
        network: of your own, for all agents, as for `Trainer`.

    Raises:
        ValueError: the settings are none that can be tried; see `sweep_plan.make_plan`.
        CheckpointError: `run_dir` holds another sweep, or one that is not resumed.
    """

    def __init__(
        self,
        config: TrainConfig,
        vary: Mapping[str, Sequence[float] | str] | None = None,
        seeds: int = 1,
        *,
        run_dir: str | os.PathLike,
        env: Environment | None = None,
        draws: int | None = None,
        minutes: float | None = None,
        fit: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] | None = None,
        save_every: float = 60.0,
        network: nn.Module | None = None,
    ) -> None:
        self.plan = make_plan(config, vary or {}, seeds, draws)
        self.run_dir = Path(os.path.expanduser(run_dir)).absolute()
        self._varied = tuple(vary or {})
        self._env, self._network = env or training_environment(), network
        self._minutes, self._fit = minutes, fit
        self._options: dict[str, Any] = {"callbacks": callbacks, "save_every": save_every, "resume": resume}
        self._programs = [part for group in programs(self.plan) for part in self._fitting(group)]
        about = {
            "config": config.to_dict(),
            "vary": {
                name: values if isinstance(values, str) else list(values) for name, values in (vary or {}).items()
            },
            "seeds": seeds,
            "draws": draws,
        }
        self._length = self._begin(about, resume)
        self._running: Trainer | None = None
        self._is_asked = False

    def stop(self) -> None:
        """Ask the sweep to end after the update in progress; may be called from any thread."""
        self._is_asked = True
        if self._running:
            self._running.stop()

    def run(self) -> SweepResult:
        """Train all agents, or go on until stopped, also if that was before it began."""
        try:
            return self._run()
        finally:
            self._is_asked, self._running = False, None
            self._options["resume"] = True  # what is there from now on is this sweep

    def _run(self) -> SweepResult:
        folders = [self.run_dir / "programs" / str(number) for number in range(1, len(self._programs) + 1)]
        stored = [_stored(folder) for folder in folders]
        lengths = [self._length or (config.total_timesteps if config else None) for config, _ in stored]
        is_done = [
            config is not None and length is not None and update == length // config.batch_size
            for (config, update), length in zip(stored, lengths, strict=True)
        ]
        left = sum(len(members) for members, done in zip(self._programs, is_done, strict=True) if not done)
        length, stopped_by = None, None
        histories: dict[str, list[Record]] = {}
        for members, folder, own_length, done in zip(self._programs, folders, lengths, is_done, strict=True):
            length = own_length or length  # where minutes decide it, that of the program before, as far as it is known
            time: dict[str, Any] = {}
            if not done:
                share = self._minutes and self._minutes * len(members) / left
                time = {"minutes": share, "fit": self._fit}
            program = _Program(
                members,
                length,
                self._varied,
                self.run_dir,
                folder,
                self._env,
                network=self._network,
                **time,
                **self._options,
            )
            self._running = program
            if self._is_asked:
                program.stop()
            result = program.run()
            length, histories = program.config.total_timesteps, histories | program.histories
            stopped_by = result.stopped_by or stopped_by
            if result.stopped_by not in (None, "time"):
                break
        return SweepResult(self.plan, histories, stopped_by, self.run_dir)

    def _fitting(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """The agents in as many parts as it takes for each to fit into half of the devices' memory."""
        agent = make_agent(members[0].config, self._env, self._network, _variable(self._varied))
        shapes = AgentGroup.of_agents(agent, [members[0].config]).template
        each = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(as_plain, shapes)))
        at_once = max(1, get_device_config().total_memory // 2 // (2 * each))  # an update has the old and the new
        return [members[i : i + at_once] for i in range(0, len(members), at_once)]

    def _begin(self, about: dict[str, Any], resume: bool) -> int | None:
        """Write what the sweep is, or see that the one in the directory is the same.

        Returns:
            The steps of each agent, where they are others than the stored sweep was begun with.
        """
        path, length = self.run_dir / _PLAN, about["config"]["total_timesteps"]
        about = json.loads(json.dumps(about))
        stored = None
        if path.exists():
            if not resume:
                raise CheckpointError(
                    f"{self.run_dir} already holds a sweep. Resume it, or choose another run directory"
                )
            stored = stored_sweep(self.run_dir)
            begun_with = stored["config"].get("total_timesteps")
            stored["config"]["total_timesteps"] = length
            if different := [name for name in about if about[name] != stored.get(name)]:
                raise CheckpointError(
                    f"the sweep in {self.run_dir} has other values of {', '.join(different)}: see {_PLAN} there. "
                    "Resume it with the same (only total_timesteps may change), or choose another run directory"
                )
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(about, indent=2) + "\n")
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written ({error.strerror}). Choose another run_dir") from error
        return None if stored is None or begun_with == length else length


class _Program(Trainer):
    """The run of agents that share a compiled program."""

    _group: AgentGroup
    _storage: Storage

    def __init__(
        self,
        members: Sequence[Member],
        length: int | None,
        varied: Collection[str],
        run_dir: Path,
        folder: Path,
        env: Environment,
        **options: Any,
    ) -> None:
        self._members = members
        self._varied = _variable(varied)
        self._folders = [run_dir / "agents" / member.name for member in members]
        config = members[0].config
        super().__init__(
            config if length is None else dataclasses.replace(config, total_timesteps=length), folder, env, **options
        )

    def run(self) -> TrainResult:
        """Train, and write the run directories of the agents: beside the local copy, where there had to be one."""
        result = super().run()
        runner = jax.device_get(self._group.gather(result.runner))
        for number, member in enumerate(self._members):
            one, history = part_of(runner, number), self._metrics[number].history
            config = dataclasses.replace(self._group.configs[number], total_timesteps=self.config.total_timesteps)
            folder = self._folders[number]
            if result.saved_in != self.run_dir:
                folder = result.saved_in / "agents" / member.name
            if is_finite(one.params):
                Storage(folder, resume=True).save(one, config, history)
            else:
                told = f"{member.name} is no longer finite and is not saved. Smaller settings may help"
                warnings.warn(told, RuntimeWarning, stacklevel=2)
        return result

    @property
    def histories(self) -> dict[str, list[Record]]:
        """The metrics of each agent, by name."""
        return {member.name: file.history for member, file in zip(self._members, self._metrics, strict=True)}

    def _make_group(self, config: TrainConfig, env: Environment, network: nn.Module | None) -> AgentGroup:
        agent, *others = (make_agent(member.config, env, network, self._varied) for member in self._members)
        agent = agent._replace(config=dataclasses.replace(agent.config, total_timesteps=config.total_timesteps))
        return AgentGroup.of_agents(agent, [agent.config, *(other.config for other in others)])

    def _begin(self, update: int) -> list[Record]:
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        self._metrics = [MetricsFile(folder / "metrics.jsonl", update) for folder in self._folders]
        return super()._begin(update)

    def _record(self, metrics: Any, update: int, speed: float) -> Record:
        for number, file in enumerate(self._metrics):
            one = jax.tree.map(lambda numbers, i=number: numbers[i], metrics)
            file.history.append(super()._record(one, update, speed))
        return _mean([file.history[-1] for file in self._metrics])

    def _save(self, runner: RunnerState, history: Sequence[Record], *, is_last: bool = False) -> None:
        for file in self._metrics:
            self._storage.attempt(file.path, file.write)
        super()._save(runner, history, is_last=is_last)

    def _is_finite(self, params: Any) -> bool:
        """Whether any agent is worth going on for."""
        return any(
            is_finite(part) for part in (jax.tree.map(lambda x, i=i: x[i], params) for i in range(len(self._members)))
        )


def _mean(records: Sequence[Record]) -> Record:
    """The mean of each metric over the agents that have a value for it."""
    known = {name: [value for record in records if (value := record[name]) is not None] for name in records[0]}
    means = {name: float(np.mean(values)) if values else None for name, values in known.items()}
    return means | {name: records[0][name] for name in ("update", "steps")}


def _variable(names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in VARIABLE)


def _stored(folder: Path) -> tuple[TrainConfig | None, int]:
    """The config of a program's newest checkpoint, None if there is none, and its update."""
    if not (folder / "checkpoints").is_dir():
        return None, 0
    checkpoints = Checkpoints(folder / "checkpoints")
    return checkpoints.stored_config(), max(checkpoints.updates, default=0)


def stored_sweep(run_dir: str | os.PathLike) -> dict[str, Any]:
    """What a sweep in a directory is: the arguments of `Sweep`, JSON-ready.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(run_dir) / _PLAN
    try:
        about: dict[str, Any] = json.loads(path.read_text())
        TrainConfig.from_dict(about["config"])
        return {name: about[name] for name in ("config", "vary", "seeds", "draws")}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): no sweep can be resumed from there") from error
