"""A game that a person plays: actions, take back, new games, scenario files. Both front ends show one of these."""

import json
import secrets
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hackmatrix_core.agent.policy import Policy, as_pytree, observe_for
from hackmatrix_core.errors import UserError, shown
from hackmatrix_core.game import GameState, Outcome, actions, get_valid_actions, reset, scenario, step
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.state import BOARD_SIZE
from hackmatrix_core.training.config import MAX_SEED
from hackmatrix_core.viewing.actions import ACTIONS, counted


class PlayError(UserError, ValueError):
    """What the player asked for cannot be done; the message says why, and what can be done."""


def parse_seed(text: str) -> int | None:
    """The seed that the text names, None if it is empty; `PlayError` if it names none."""
    try:
        return int(text) if text else None
    except ValueError:
        raise PlayError(f"the seed is {shown(text)}, expected a number from 0 to {MAX_SEED}") from None


def _some_seed(seed: int | None) -> int:
    """The seed if it is in range; for None a random one, short enough to be remembered."""
    if seed is None:
        return secrets.randbelow(1_000_000)
    if not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise PlayError(f"the seed is {shown(seed)}, expected a number from 0 to {MAX_SEED}")
    return seed


@jax.jit
def _reset(seed: jax.Array) -> GameState:
    return reset(jax.random.key(seed))


@jax.jit
def _step(state: GameState, action: jax.Array, seed: jax.Array, time: jax.Array) -> tuple[GameState, Outcome]:
    return step(state, action, jax.random.fold_in(jax.random.key(seed), time))


_mask = jax.jit(get_valid_actions)
_HINTS, _LEAST_CHANCE = 3, 0.02
_LONGEST_FILE = 2**20
"""Characters of a scenario that are read; /dev/zero never ends."""


@jax.jit
def _advice(policy: Any, state: GameState, key: jax.Array) -> jax.Array:
    """How likely a policy takes each action: float32 (28,)."""
    observation, mask = observe_for(policy, state), get_valid_actions(state)
    if hasattr(policy, "think"):
        return policy.think(state, observation, mask, key).policy
    if hasattr(policy, "distribution"):
        return policy.distribution(observation, mask)[0].probs
    return jax.nn.one_hot(policy(state, observation, mask, key), NUM_ACTIONS)


class Session:
    """A game, its past, and what the last action brought.

    All randomness comes from the seed and the number of actions: the same actions give the same game, also after a
    take back. A new game of seed n starts as `reset(jax.random.key(n))`. The first session of a process takes some
    seconds: it compiles the game.

    Args:
        seed: as for `new`.
        scenario_file: as for `load`; default a new game.

    Attributes:
        state: the `GameState` to see.
        seed: 0 … 2³² − 1.
        mask: bool (28,), which actions are valid (R4.1).
        outcome: what the last action brought, numpy values; None before the first one.
        last: the number of the last action, or None.
    """

    def __init__(self, seed: int | None = None, scenario_file: str | Path | None = None) -> None:
        if scenario_file is None:
            self.new(seed)
        else:
            self.seed = _some_seed(seed)
            self.load(scenario_file)
        _step(self.state, np.int32(-1), np.uint32(0), np.int32(0))  # compiled now, not at the first action

    def new(self, seed: int | None = None) -> None:
        """Start a new game (R2).

        Args:
            seed: decides the game, 0 … 2³² − 1; default at random.

        Raises:
            PlayError: the seed is out of range.
        """
        self.seed = _some_seed(seed)
        self._begin(_reset(np.uint32(self.seed)))

    def act(self, action: int) -> None:
        """Carry out one action.

        Args:
            action: 0–27, one that is valid: a slip of the finger must not end the game (R4.2).

        Raises:
            PlayError: the action is not valid here, or the game is over.
        """
        if self.over:
            raise PlayError("the game is over: take back, or start a new one")
        if not 0 <= action < NUM_ACTIONS:
            raise PlayError(f"{action} is not an action, expected 0 to {NUM_ACTIONS - 1}")
        if not self.mask[action]:
            raise PlayError(f"{ACTIONS[action].name} is not possible now: {self.reason(action)}")
        state, outcome = _step(self.state, np.int32(action), np.uint32(self.seed), np.int32(len(self._past)))
        self._past.append((self.state, self.last, self.outcome))
        self._show(state, action, jax.device_get(outcome))

    def reason(self, action: int) -> str:
        """Why an action is not valid, as in "costs 2 energy, you have 1"; empty if it is valid (R4.1)."""
        if self.mask[action]:
            return ""
        if action < actions.SIPHON:
            row, col = divmod(int(self.state.position), BOARD_SIZE)
            place = (row + 1, row - 1, row, row)[action], (col, col, col - 1, col + 1)[action]
            return "a block is in the way" if all(0 <= at < BOARD_SIZE for at in place) else "the board ends there"
        costs = ACTIONS[action]
        for name in ("credits", "energy", "data_siphons"):
            needed, owned = getattr(costs, name), int(getattr(self.state, name))
            if owned < needed:
                return f"costs {counted(needed, name)}, you have {owned}"
        owns = int(self.state.programs) >> (action - actions.FIRST_PROGRAM) & 1
        return "it would change nothing now" if owns else "you do not own it"

    def hint(self, policy: Policy) -> str:
        """What a policy would do here, as in "down 96 %, right 4 %": its likeliest actions.

        Args:
            policy: see `hackmatrix_core.agent.policy`. The first call with it takes some seconds: it compiles.
        """
        chances = np.asarray(_advice(as_pytree(policy), self.state, jax.random.key(len(self._past))))
        likeliest = [action for action in np.argsort(-chances)[:_HINTS] if chances[action] >= _LEAST_CHANCE]
        return ", ".join(f"{ACTIONS[action].name} {chances[action]:.0%}" for action in likeliest)

    def take_back(self) -> None:
        """Go back to before the last action, any number of times.

        Raises:
            PlayError: there is no action to take back.
        """
        if not self._past:
            raise PlayError("there is nothing to take back")
        self._show(*self._past.pop())

    def save(self, path: str | Path) -> None:
        """Write the state as a scenario file (R12, JSON); missing folders are created.

        Raises:
            PlayError: the file cannot be written.
        """
        try:
            path = Path(path).expanduser()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(scenario.to_dict(self.state)) + "\n", encoding="utf-8")
        except (OSError, RuntimeError, ValueError) as error:  # the latter for a ~user that nobody is, and NUL in a name
            raise PlayError(f"{path} cannot be written: {getattr(error, 'strerror', error)}") from error

    def load(self, path: str | Path) -> None:
        """Continue from a scenario file (R12, JSON), with the same seed. If that fails, the game stays as it was.

        Raises:
            PlayError: the file cannot be read, or holds no scenario; the message names the place.
        """
        try:
            with Path(path).expanduser().open(encoding="utf-8") as file:
                state = scenario.from_dict(json.loads(file.read(_LONGEST_FILE)))
        except (OSError, RuntimeError) as error:
            raise PlayError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
        except json.JSONDecodeError as error:
            raise PlayError(f"{path} is not JSON: {error}") from error
        except ValueError as error:  # a text that is not UTF-8, or what `from_dict` refuses
            raise PlayError(f"{path} is not a scenario: {error}") from error
        self._begin(state)

    @property
    def can_take_back(self) -> bool:
        """Whether there is an action to take back."""
        return bool(self._past)

    @property
    def over(self) -> bool:
        """Whether the game has ended: won, or the player is dead."""
        return int(self.state.hp) == 0 or (self.outcome is not None and bool(self.outcome.terminated))

    @property
    def status(self) -> str:
        """One line: what the last action brought, and whether the game is over."""
        line = f"seed {self.seed}"
        if self.outcome is not None and self.last is not None:
            parts = ", ".join(f"{name} {float(part):+.2f}" for name, part in self.outcome.reward_parts.items() if part)
            line = f"{ACTIONS[self.last].name}: reward {float(self.outcome.reward):+.2f} ({parts})"
        if self.outcome is not None and self.outcome.won:
            return f"You have won with a score of {int(self.state.score)}! {line}"
        if self.over:
            return f"You died in stage {int(self.state.stage)}. {line}"
        if not self.mask.any():
            return f"No action is possible: take back, or start a new game. {line}"
        return line

    def _begin(self, state: GameState) -> None:
        self._past: list[tuple[GameState, int | None, Outcome | None]] = []
        self._show(state, None, None)

    def _show(self, state: GameState, action: int | None, outcome: Outcome | None) -> None:
        self.state, self.last, self.outcome = state, action, outcome
        self.mask = np.asarray(_mask(state))
