"""One game of a policy, recorded step by step, for the replay player and for a closer look."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hackmatrix_core import game
from hackmatrix_core.agent.policy import Policy, as_pytree, as_taken
from hackmatrix_core.agent.search import Thoughts
from hackmatrix_core.environment.gymnax_env import MAX_ACTIONS
from hackmatrix_core.game import GameState, Outcome
from hackmatrix_core.game.arguments import check_key
from hackmatrix_core.game.step import compact_observation


@dataclasses.dataclass(frozen=True)
class Episode:
    """A game of T actions. All arrays are numpy's."""

    states: GameState
    """Leading axis T + 1: before each action, and at the end."""
    actions: np.ndarray
    """(T,) int32, 0–27."""
    action_masks: np.ndarray
    """(T, 28) bool: the actions that were valid (R4.1)."""
    outcomes: Outcome
    """Leading axis T: what each action brought."""
    probabilities: np.ndarray | None = None
    """(T, 28) float32, of the actions, where the policy has a distribution."""
    values: np.ndarray | None = None
    """(T,) float32, the value before each action, where the policy estimates it."""
    value_unit: str = ""
    """What the values count, in words."""
    thoughts: Thoughts | None = None
    """Leading axis T: what a search found out before each action, where the policy searches."""

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def final_stage(self) -> int:
        """The stage where the game ended, 1–9: a win counts as 9."""
        return int(self.states.stage[-1]) + int(self.outcomes.won[-1])

    @property
    def total_reward(self) -> float:
        """The sum of the rewards (R10), not discounted."""
        return float(self.outcomes.reward.sum())


def record(
    policy: Policy, key: jax.Array, max_actions: int = MAX_ACTIONS, progress: Callable[[int], None] | None = None
) -> Episode:
    """Play a game with a policy, from a new game (R2) to its end.

    Args:
        policy: see `hackmatrix_core.agent.policy`. A `NetworkPolicy` also leaves its probabilities and values, a
            `SearchPolicy` what it found out.
        key: a typed key or an old one; decides the game.
        max_actions: the game is cut off after this many.
        progress: called after each action with their number so far.

    Raises:
        ValueError: `max_actions` is below 1.
        TypeError: the key is none, or the policy cannot be called.
    """
    if max_actions < 1:
        raise ValueError(f"max_actions is {max_actions}, expected at least 1")
    check_key(key, "hm.record")
    player = as_pytree(policy)
    start_key, play_key = jax.random.split(key)
    state = _reset(start_key)
    states = [jax.device_get(state)]
    steps: list[Any] = []
    while len(steps) < max_actions:
        state, step = _play(player, state, jax.random.fold_in(play_key, len(steps)))
        states.append(jax.device_get(state))
        steps.append(jax.device_get(step))
        if progress:
            progress(len(steps))
        if steps[-1]["outcomes"].terminated:
            break
    return Episode(states=stacked(states), value_unit=str(getattr(policy, "objective", "")), **stacked(steps))


_reset = jax.jit(game.reset)


@jax.jit
def _play(policy: Policy, state: GameState, key: jax.Array) -> tuple[GameState, dict[str, Any]]:
    """One action: the new state, and one entry of each field of `Episode`."""
    policy_key, step_key = jax.random.split(key)
    step = decide(policy, state, compact_observation(state), game.get_valid_actions(state), policy_key)
    new, outcome = game.step(state, step["actions"], step_key)
    return new, step | {"outcomes": outcome}


def decide(policy: Policy, state: GameState, compact: jax.Array, mask: jax.Array, key: jax.Array) -> dict[str, Any]:
    """What a policy does in one state, and what it thinks: an entry of each field of `Episode` that is known by then.

    Args:
        policy: as for `record`.
        state: of one game.
        compact: its observation, uint8 (1545,).
        mask: bool (28,).
        key: for the policy.
    """
    observation = as_taken(policy, compact)
    thoughts = policy.think(state, observation, mask, key) if hasattr(policy, "think") else None
    action = policy(state, observation, mask, key) if thoughts is None else thoughts.action
    step = {"actions": action, "action_masks": mask}
    if thoughts is not None:
        step |= {"thoughts": thoughts}
    if hasattr(policy, "distribution"):
        distribution, value = policy.distribution(observation, mask)
        step |= {"probabilities": distribution.probs, "values": value}
    return step


def stacked(steps: list[Any]) -> Any:
    """Entries of one game, one after the other, as arrays with a leading axis."""
    return jax.tree.map(lambda *entries: np.stack(entries), *steps)
