"""The original game in the API of Gymnasium."""

import operator
import os
from collections.abc import Sequence
from typing import Any, SupportsIndex

import gymnasium
import numpy as np

from hackmatrix_core.display import draw
from hackmatrix_core.environment.gymnasium_env import Configured
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS
from hackmatrix_core.environment.original import check, reading
from hackmatrix_core.environment.original.belief import Belief
from hackmatrix_core.environment.original.program import Program
from hackmatrix_core.environment.original.reading import Told
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.observation import OBSERVATION_SCALE
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, GameState


class HackMatrixOriginal(Configured, gymnasium.Env[np.ndarray, np.int64]):
    """The original game, played through its own program, in the API of Gymnasium.

    Observation, action, reward, termination, truncation, rendering and infos are those of `HackMatrixGymnasium`. An
    action that is not valid ends the episode as there (R4.2); the program is not told, because some end it.

        env = HackMatrixOriginal("/path/to/HackMatrix")  # or the command hackmatrix-headless
        obs, info = env.reset()
        obs, reward, terminated, truncated, info = env.step(int(np.argmax(env.action_masks())))
        thoughts = hm.SearchPolicy(hm.load_policy("pretrained")).think(env.state, obs, env.action_masks(), key)

    Attributes:
        state: the `GameState` behind the observation, the same as in the simulator.
        guesses: what of it the original does not tell and is guessed, in sentences.

    The program starts with the first `reset`, again after an error, and ends with `close` and with this process.

    Args:
        command: path of the program, or a list of it and its arguments. `--headless-cli` is added to them, unless
            `--visual-cli` is among them: the same with a window.
        timeout: seconds that it may take for an answer.
        check: hold each step against the simulator.
        render_mode: None, "ansi" or "rgb_array".
        max_steps: actions after which an episode is cut.
        reward_weights: (15,), weights of the reward parts in the order of R10; default all 1.

    Raises:
        ValueError: an argument is out of range.
        OriginalError: from `reset` and `step`: the program is missing, ends, does not answer, or answers something
            else. With `check`, its subclass `Difference`: the simulator differs.
    """

    def __init__(
        self,
        command: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        timeout: float = 120.0,
        check: bool = False,
        render_mode: str | None = None,
        max_steps: int = MAX_ACTIONS,
        reward_weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(render_mode, max_steps, reward_weights)
        self._command, self._timeout, self._checks = command, timeout, check
        self._weights = dict(zip(REWARD_PARTS, np.asarray(self._params.reward_weights, float).tolist(), strict=True))
        self._program: Program | None = None
        self._over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new game in the original.

        Args:
            seed: for the guesses alone; the original takes none.
            options: None; there are none.

        Returns:
            The observation, float32 (1545,), and the info: `action_mask`, bool (28,).
        """
        super().reset(seed=np.asarray(seed).tolist())
        if options:
            raise ValueError(f"options is {options!r}, but the original has none: it starts games of its own")
        if self._program is None or not self._program.close.alive:
            self._program = Program(self._command, self._timeout)
        answer = self._program.ask(action="reset")
        self._told = self._look(self._program, answer)
        self._state = Belief(self._told, self.np_random)
        self._state.agree(self._mask)
        self._length, self._return, self._over = 0, 0.0, False
        if self._checks:
            check.check_start(answer, self._state, self._told, self._mask)
        return self._observation(), {"action_mask": self.action_masks()}

    def step(self, action: SupportsIndex) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out one action; arguments, results and errors are those of `HackMatrixGymnasium.step`."""
        belief: Belief = self._running("step")
        if self._over or self._program is None:
            raise gymnasium.error.ResetNeeded("step needs a running episode, and this one is over: call reset first")
        try:
            index = operator.index(action)
        except TypeError:
            raise TypeError(f"action is {action!r}, expected an integer from 0 to {NUM_ACTIONS - 1}") from None
        self._length += 1
        if not (0 <= index < NUM_ACTIONS and self._mask[index]):
            return self._result(dict.fromkeys(REWARD_PARTS, 0.0), terminated=True)
        try:
            answer = self._program.ask(action="step", actionIndex=index)
            with self._program.understanding(answer):
                step = reading.read_step(answer)
            self._told = self._look(self._program, answer, step.terminated)
        except BaseException:
            self._over = True
            raise
        was = belief.copy() if self._checks else None
        with self._program.understanding(answer):
            belief.follow(index, self._told, step.completed, step.won, step.reward_parts["kills"] > 0)
        if not step.terminated:
            belief.agree(self._mask)
        if was is not None:
            check.check_step(was, index, step, answer, belief, self._told, self._mask)
        return self._result(step.reward_parts, step.terminated, step.won, step.died)

    @property
    def state(self) -> GameState:
        """The state behind the observation, with the newest 64 snapshots."""
        return self._running("state").state(DEFAULT_UNDO_DEPTH)

    @property
    def guesses(self) -> list[str]:
        """What of the state is guessed, in sentences."""
        return self._running("guesses").guesses()

    def render(self) -> str | np.ndarray | None:
        """The board as text ("ansi") or as a picture, uint8 (height, width, 3) ("rgb_array")."""
        return None if self.render_mode is None else draw(self.state, self.render_mode)

    def close(self) -> None:
        """End the program."""
        if self._program is not None:
            self._program.close()

    def _look(self, program: Program, answer: dict[str, Any], over: bool = False) -> Told:
        """What the original tells now, and the mask; it is asked no more once a game is over."""
        internal = None if over else program.ask(action="getInternalState")
        with program.understanding(answer, internal):
            told = reading.read(answer["observation"], internal)
        self._mask = np.zeros(NUM_ACTIONS, bool)
        if not over:
            valid = program.ask(action="getValidActions")
            with program.understanding(valid):
                self._mask[valid["validActions"]] = True
        return told

    def _observation(self) -> np.ndarray:
        return self._told.compact * OBSERVATION_SCALE

    def _result(
        self, parts: dict[str, float], terminated: bool, won: bool = False, died: bool = False
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = sum(self._weights[name] * value for name, value in parts.items())
        self._return += reward
        truncated = not terminated and self._length >= int(self._params.max_steps)
        self._over = terminated or truncated
        numbers = self._told.numbers
        info = {
            "reward_parts": parts,
            **{name: numbers[name] for name in ("stage", "score", "hp")},
            "won": won,
            "died": died,
            "episode_return": self._return,
            "episode_length": self._length,
            "action_mask": self.action_masks(),
        }
        return self._observation(), reward, terminated, truncated, info
