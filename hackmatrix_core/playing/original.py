"""Games of an agent in the original."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from hackmatrix_core.agent.policy import Policy, as_pytree
from hackmatrix_core.environment.original.env import HackMatrixOriginal
from hackmatrix_core.game import GameState, Outcome
from hackmatrix_core.game.observation import OBSERVATION_SCALE
from hackmatrix_core.viewing.recording import Episode, decide, stacked

Look = Callable[[GameState, dict[str, Any]], None]


def play_original(
    policy: Policy, envs: Sequence[HackMatrixOriginal], num_games: int, key: jax.Array, look: Look | None = None
) -> Iterator[Episode]:
    """Play games with a policy, one at a time in each environment, and give them as they end.

    Args:
        policy: see `hackmatrix_core.agent.policy`. It gets what the original tells, and the state that is kept.
        envs: at least one; all take their steps at the same time.
        num_games: how many in all.
        key: for the policy.
        look: called before each action of the first environment with the state and what `decide` gives for it.

    Raises:
        OriginalError: see `HackMatrixOriginal`.
    """
    player = as_pytree(policy)
    with ThreadPoolExecutor(len(envs)) as pool:
        seats = [_Seat(env, number) for number, env in enumerate(envs[:num_games])]
        begun = len(seats)
        list(pool.map(_Seat.begin, seats))
        while playing := [seat for seat in seats if seat.number < num_games]:
            # Seats that are done stay in the batch, whose size is that of the compiled program.
            inputs = [stacked([getattr(seat, name) for seat in seats]) for name in ("state", "compact", "mask", "time")]
            decided = jax.device_get(_decide(player, key, *inputs))
            for index, seat in enumerate(seats):
                seat.decided = jax.tree.map(lambda leaf, index=index: leaf[index], decided)
            if look and seats[0] in playing:
                look(seats[0].state, seats[0].decided)
            list(pool.map(_Seat.act, playing))
            for seat in playing:
                if seat.over:
                    unit = str(getattr(policy, "objective", ""))
                    yield Episode(states=stacked(seat.states), value_unit=unit, **stacked(seat.steps))
                    seat.number, begun = begun, begun + 1
            list(pool.map(_Seat.begin, [seat for seat in playing if seat.over and seat.number < num_games]))


@jax.jit
def _decide(policy: Policy, key: jax.Array, *inputs: Any) -> dict[str, Any]:
    """`decide` in each seat, with a key of its own."""

    def in_seat(state: GameState, compact: jax.Array, mask: jax.Array, time: jax.Array) -> dict[str, Any]:
        return decide(policy, state, compact, mask, jax.random.fold_in(key, time))

    return jax.vmap(in_seat)(*inputs)


class _Seat:
    """Where one game after the other is played in an environment."""

    def __init__(self, env: HackMatrixOriginal, number: int) -> None:
        self.env, self.number = env, number
        self.decided: dict[str, Any] = {}

    def begin(self) -> None:
        """Start the game `number`."""
        observation, info = self.env.reset(seed=self.number)
        self.steps: list[dict[str, Any]] = []
        self.states: list[GameState] = []
        self.over = False
        self._see(observation, info)

    def act(self) -> None:
        """Carry out what was decided."""
        observation, reward, terminated, truncated, info = self.env.step(self.decided["actions"])
        parts = {name: np.float32(value) for name, value in info["reward_parts"].items()}
        won, died = info["won"], info["died"]
        ends: dict[str, Any] = {
            "terminated": terminated,
            "won": won,
            "died": died,
            "invalid": terminated and not (won or died),
        }
        ends["stage_completed"] = parts["stage_completion"] > 0
        ends = {name: np.bool_(value) for name, value in ends.items()} | {"reward": np.float32(reward)}
        outcome = Outcome(**ends, reward_parts=parts)
        self.steps.append(self.decided | {"outcomes": outcome})
        self.over = terminated or truncated
        self._see(observation, info)

    @property
    def time(self) -> np.uint32:
        """A number that no other action has, in no game."""
        return np.uint32(self.number << 12 | len(self.steps))

    def _see(self, observation: np.ndarray, info: dict[str, Any]) -> None:
        self.state, self.mask = jax.device_get(self.env.state), info["action_mask"]
        self.compact = np.rint(observation / OBSERVATION_SCALE).astype(np.uint8)
        self.states.append(self.state)
