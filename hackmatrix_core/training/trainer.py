"""Training from start to end: as one pure function, and as a run that shows its progress, stops, saves and resumes."""

import contextlib
import dataclasses
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax import lax

from hackmatrix_core.environment.gymnax_env import HackMatrixGymnax
from hackmatrix_core.errors import UserError, shown
from hackmatrix_core.interrupts import use_handlers
from hackmatrix_core.training.checkpoints import CheckpointError, check_network
from hackmatrix_core.training.compilation import return_free_memory
from hackmatrix_core.training.config import MAX_MINUTES, TrainConfig
from hackmatrix_core.training.devices import DeviceGroup
from hackmatrix_core.training.history import Record, make_record
from hackmatrix_core.training.hyperparameters import check_values, check_varied
from hackmatrix_core.training.metrics import Metrics
from hackmatrix_core.training.ppo import update_step
from hackmatrix_core.training.progress import Callback, EntropyWatch, Phase, Progress, TrapWatch, default_display
from hackmatrix_core.training.runner import Environment, RunnerState, init_runner, is_finite, make_agent
from hackmatrix_core.training.storage import Storage


def training_environment() -> HackMatrixGymnax:
    """The game as training plays it: with compact observations."""
    return HackMatrixGymnax(compact_observations=True)


def make_train(
    config: TrainConfig,
    env: Environment | None = None,
    network: nn.Module | None = None,
    vary: Collection[str] = (),
) -> Callable[..., tuple[RunnerState, Metrics]]:
    """A whole training run as a pure function.

    Args:
        config: of the run; its `seed` is not used, the key takes its place.
        env: default HackMatrix.
        network: of your own, as for `Trainer`.
        vary: names of hyperparameters, or of reward parts for their weights, whose values the function takes.

    Returns:
        A function of a typed key, and with `vary` of a dictionary of these values, () float32 each; for `jax.jit` and
        `jax.vmap`, over keys, values or both. It gives the runner after the last update, and the metrics of
        `ppo.update_step` with a leading axis of updates.

    Raises:
        NetworkError: the network cannot be trained; the message says why.
        ValueError: a name in `vary` is none of these, or the environment has no use for it. From the function: the
            values have other names, are out of range or have axes that are not mapped.
    """
    check_varied(vary)
    agent = make_agent(config, env or training_environment(), network, vary)

    def train(key: jax.Array, values: Mapping[str, Any] = MappingProxyType({})) -> tuple[RunnerState, Metrics]:
        check_values(vary, values, agent.config)
        varied = agent.using(agent.hyperparameters.replaced(values))
        runner = init_runner(varied, key)
        return lax.scan(lambda runner, _: update_step(varied, runner), runner, length=config.num_updates)

    return train


class TrainResult(NamedTuple):
    """What a run leaves behind."""

    runner: RunnerState
    history: list[Record]
    """The metrics of all updates, including those before a resume."""
    stopped_by: str | None
    """None if the run is complete; else `request`, `time`, `another run`, or the name of the signal. If `runner.update`
    is 0, it was stopped before its first update, nothing is trained, and `load_policy` refuses the run."""
    saved_in: Path
    """The directory that holds it: that of the run, or a local copy where it could not be written to."""


class Trainer:
    """A training run in a directory, on all available devices.

    `run()` compiles one update, repeats it, and after each one writes metrics and calls the callbacks. It saves every
    `save_every` seconds and at the end. Ctrl-C, SIGTERM, a closed terminal, `stop()` or the time limit end the run
    after the update in progress; it then saves and returns what it has. So does another run that has taken over the
    directory while this one was silent for minutes; this one is then saved elsewhere. A callback that fails, a picture
    or a log that cannot be written, or a folder that disappears does not end it: this is told once, as a warning. In
    the directory:

    | file | content |
    |---|---|
    | config.json | the config |
    | metrics.jsonl | one line per update |
    | curves.png | games won, return and entropy |
    | checkpoints/ | the last three and the best |

    Args:
        config: what to train.
        run_dir: local, mounted or relative path; created if it does not exist.
        env: default HackMatrix.
        callbacks: called with each `Progress`; default is a display that suits a notebook or a console.
        resume: continue from the newest intact checkpoint in `run_dir`, if there is one.
        minutes: time limit of training, counted from the end of the first update: compiling and warming up are not.
        fit: make the run as long as fits into `minutes`, whatever the config's `total_timesteps`: what is annealed then
            follows the clock, so the result depends on the machine's speed. The config that is saved has the length.
            A resumed run goes on for that long.
        save_every: seconds between checkpoints.
        start_from: parameters of a network to start with, as `load_params` gives them; those of the first process
            count.
        rewind: an update of which `run_dir` has a checkpoint; with `resume` the run goes on from there. What is newer
            goes into the folder `after-UPDATE` in it, which is a run directory as well.
        network: of your own, in place of the package's; the config's hidden_dim, num_layers and cell_dim then mean
            nothing. A `flax.linen.Module` that maps observations, float32 (N, D), to logits, float32 (N, num_actions),
            and values, float32 (N,); with `takes_percept = True` it is given a `Percept` instead. The run keeps its
            import path and fields, as `config.network`.

    Raises:
        CheckpointError: the directory cannot be used: not writable, full, or another run is in it. From `run`: the
            network to start from has another shape.
        NetworkError: the network cannot be imported or trained; the message says why.
        ValueError: `minutes` or `save_every` is not a number of this kind, or there is nothing to fit into or to
            rewind.
        UserError: from `run`: the network is no longer finite; what was saved before stays as it is.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_dir: str | os.PathLike,
        env: Environment | None = None,
        callbacks: Sequence[Callback] | None = None,
        *,
        resume: bool = False,
        minutes: float | None = None,
        fit: bool = False,
        save_every: float = 60.0,
        start_from: Any = None,
        rewind: int | None = None,
        network: nn.Module | None = None,
    ) -> None:
        self.run_dir = Path(os.path.expanduser(run_dir)).absolute()
        self._group = self._make_group(config, env or training_environment(), network)
        self.config = self._group.agent.config
        displays = callbacks if callbacks is not None else [default_display()]
        self._callbacks: list[Callback] = [*displays, EntropyWatch(), TrapWatch()] if self._group.is_first else []
        if minutes is not None and not (_is_number(minutes) and 0 < minutes <= MAX_MINUTES):
            raise ValueError(f"minutes is {shown(minutes)}, expected a number above 0 and at most {MAX_MINUTES:,}")
        if not (_is_number(save_every) and save_every >= 0):
            raise ValueError(f"save_every is {shown(save_every)}, expected a number of seconds of at least 0")
        if fit and minutes is None:
            raise ValueError("fit is True, and minutes is None. Say into how many minutes the run has to fit")
        if rewind is not None and not resume:
            raise ValueError(f"rewind is {shown(rewind)}, and resume is False. Set it to True to go on with a run")
        self._limit = float("inf") if minutes is None else 60 * float(minutes)
        self._fit = fit
        self._save_every = save_every
        self._start_from = start_from
        self._stopped_by: str | None = None
        self._is_saving = False
        self._storage = Storage(self.run_dir, resume, rewind) if self._group.is_first else None

    def stop(self, reason: str = "request") -> None:
        """Ask the run to end after the update in progress; may be called from any thread."""
        self._stopped_by = self._stopped_by or reason

    def run(self) -> TrainResult:
        """Train until the config's steps are done, or until stopped, also if that was before it began."""
        try:
            with self._storage.held() if self._storage else contextlib.nullcontext(), self._signals_stop():
                return self._run()
        finally:
            self._stopped_by = None

    def _run(self) -> TrainResult:
        started = time.monotonic()
        template = self._group.template
        runner = self._restored(template)
        if runner is None and self._start_from is not None:
            check_network(template.params, self._start_from)  # before minutes of compiling
        update = 0 if runner is None else int(runner.update)
        if not self._fit:
            self._check_length(update)
        history = self._begin(update)
        if runner is not None and update == self.config.num_updates and not self._fit:
            self._tell("done", update, 0.0, 0.0, history)
            return self._result(runner, history, None)

        self._tell("compiling", update, 0.0, float("nan"), history)
        compiled = self._group.update(template).compile()
        return_free_memory()
        runner = self._started(self._group.init()(), template) if runner is None else runner
        self._tell("training", update, time.monotonic() - started, float("nan"), history)
        with use_handlers():
            return self._train(compiled, runner, update, history)

    def _train(self, compiled: Any, runner: RunnerState, update: int, history: list[Record]) -> TrainResult:
        """Go on from a runner after `update` updates, by the compiled update, until the run ends or is stopped."""
        saved = began = time.monotonic()
        hyperparameters = self._group.hyperparameters
        timed = -1  # updates after the first, which takes some times as long as the others: its time tells nothing
        if self._fit:
            self._set_length(max(self.config.num_updates, update + 2))
        try:
            while update < self.config.num_updates and not self._stops():
                before = time.monotonic()
                done = np.float32(update / self.config.num_updates)
                runner, metrics = compiled(runner, done, hyperparameters)
                metrics = jax.device_get(metrics)
                now = time.monotonic()
                update, timed = update + 1, timed + 1
                speed, left = float("nan"), self._limit
                began = began if timed else now
                spent = now - began
                if timed:  # coarse clocks may show no time at all
                    speed, each = self._group.batch_size / max(now - before, 1e-6), spent / timed
                    if self._fit:
                        fitting = max(0.0, self._limit - spent) / max(each, 1e-6)
                        self._set_length(update + int(self._group.from_first_process(fitting)))
                    left = max(0.0, min(each * (self.config.num_updates - update), self._limit - spent))
                if self._storage:
                    self._storage.append(self._record(metrics, update, speed))
                self._tell("training", update, spent, left, history)
                if spent >= self._limit and not self._fit:
                    self.stop("time")
                # If the loss is strange, so may be the network, which is looked at before it is saved.
                is_strange = not np.any(np.isfinite(metrics["value_loss"]))
                if self._group.any_process(is_strange or now - saved >= self._save_every):
                    self._save(runner, history)
                    saved = time.monotonic()
        except BaseException:
            with contextlib.suppress(Exception):  # what ends the run is worth more than what keeps it from being saved
                self._save(runner, history)
            raise

        self._save(runner, history, is_last=True)
        self._tell("done", update, time.monotonic() - began, 0.0, history)
        return self._result(runner, history, self._stopped_by if update < self.config.num_updates else None)

    def _make_group(self, config: TrainConfig, env: Environment, network: nn.Module | None) -> DeviceGroup:
        return DeviceGroup.of(make_agent(config, env, network))

    def _begin(self, update: int) -> list[Record]:
        """The metrics of the updates so far."""
        return self._storage.begin(self.config, update) if self._storage else []

    def _record(self, metrics: Metrics, update: int, speed: float) -> Record:
        return make_record(metrics, update=update, steps=update * self.config.batch_size, steps_per_second=speed)

    def _is_finite(self, params: Any) -> bool:
        return is_finite(params)

    def _set_length(self, updates: int) -> None:
        self.config = dataclasses.replace(self.config, total_timesteps=updates * self.config.batch_size)

    def _result(self, runner: RunnerState, history: list[Record], stopped_by: str | None) -> TrainResult:
        return TrainResult(runner, history, stopped_by, self._storage.place if self._storage else self.run_dir)

    def _stops(self) -> bool:
        """Whether any process was asked to stop, or another run has taken over the directory."""
        if self._storage and not self._storage.holds_lock():
            self.stop("another run")
        stops = self._group.any_process(self._stopped_by is not None)
        if stops:
            self.stop()
        return stops

    def _restored(self, template: RunnerState) -> RunnerState | None:
        """The runner of the newest checkpoint, or of that to go back to; None if there is none."""
        plain = None
        if self._storage:
            self._storage.checkpoints.check_space(template)
            plain = self._storage.checkpoints.restore_newest(template, self.config, self._storage.rewind)
        return self._group.place(plain, template) if self._group.any_process(plain is not None) else None

    def _started(self, runner: RunnerState, template: RunnerState) -> RunnerState:
        """A fresh runner, with the network that the run starts from."""
        if not self._group.any_process(self._start_from is not None):
            return runner
        plain = self._group.gather(runner)
        if self._start_from is not None:
            plain = plain._replace(params=self._start_from)
        return self._group.place(plain, template)

    def _check_length(self, update: int) -> None:
        if update > self.config.num_updates:
            steps, asked = update * self.config.batch_size, self.config.total_timesteps
            raise CheckpointError(
                f"the run in {self.run_dir} has done {steps:,} steps, more than total_timesteps = {asked:,}. Set "
                "total_timesteps to what the run was begun with, or to more"
            )

    def _save(self, runner: RunnerState, history: Sequence[Record], *, is_last: bool = False) -> None:
        """Save the run. What keeps a checkpoint from being written ends a run only where none can follow."""
        whole = self._group.gather(runner)
        if not self._is_finite(whole.params):
            raise UserError(
                f"after {int(whole.update)} updates the network is no longer finite. It is not saved, and what "
                f"{self.run_dir} holds from before stays as it is. Start over in another run directory with a smaller "
                "learning_rate, smaller points or smaller rewards"
            )
        if self._storage is None:
            return
        self._is_saving = True
        try:
            self._storage.save(whole, self.config, history)
        except CheckpointError as error:
            if is_last:
                raise
            warnings.warn(f"{error}. Training goes on", RuntimeWarning, stacklevel=2)
        finally:
            self._is_saving = False

    def _tell(self, phase: Phase, update: int, seconds: float, left: float, history: Sequence[Record]) -> None:
        config = self.config
        progress = Progress(
            phase, update, config.num_updates, self._group.batch_size, seconds, left, history, self.stop
        )
        for callback in list(self._callbacks):
            try:
                callback(progress)
            except Exception as error:
                if phase == "compiling":  # nothing is lost, and who asked for it wants to know
                    raise
                self._callbacks.remove(callback)
                name = getattr(callback, "__name__", type(callback).__name__)
                warnings.warn(
                    f"{name} failed ({error!r}) and is not called again. Training goes on", RuntimeWarning, stacklevel=2
                )

    @contextlib.contextmanager
    def _signals_stop(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP ask for a stop. A second SIGINT interrupts at once, unless the run is being saved.

        Only the main thread gets signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def request(number: int, frame: FrameType | None) -> None:
            if self._stopped_by == "SIGINT" and number == signal.SIGINT and not self._is_saving:
                raise KeyboardInterrupt
            self.stop(signal.Signals(number).name)

        numbers = [signal.SIGINT, signal.SIGTERM]
        # A closed terminal; nohup has it ignored.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        earlier = {number: signal.signal(number, request) for number in numbers}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
