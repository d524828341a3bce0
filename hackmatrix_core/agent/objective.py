"""What a network's value counts: the return that it learns, which need not be the plain sum of all rewards."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game.rewards import REWARD_PARTS, SCORE_GAIN

GUIDES = ("data_siphon", "kills", "distance_shaping", "score_gain")
"""Reward parts (R10) that show a beginner the way. Who plays well can earn them again and again: UNDO does not take
back the first three, and of the score it takes back in one piece, under symlog for less, what was earned in many."""
_IS_GUIDE = np.isin(REWARD_PARTS, GUIDES).astype(np.float32)
_TAKEN_BACK = [(REWARD_PARTS.index(name), name) for name in ("damage_penalty", "hp_recovery", "resource_gain")]
"""The other parts that UNDO takes back."""


def symlog(x: jax.Array) -> jax.Array:
    """sign(x) × log(1 + |x|): float32, any shape."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """The return that is learned. Its numbers are () float32, and may be traced.

    Attributes:
        gamma: discount of a reward one step later, 0–1.
        symlog_rewards: whether symlog(reward) is learned instead of the reward. Hit points, credits and energy count as
            they are: what is gained and undone, in whatever pieces, has to add up to nothing.
        shaping: weight of the `GUIDES`, 0–1. Who can look ahead finds out that they pay more than the game.
        weights: of the reward parts, (15,) float32 in the order of R10; `shaping` comes on top.
        points: what a point of the score counts when it is earned, in units of learned rewards, on top of the rewards;
            taken back where the game is lost. A win pays 100 for each, but the observation (R11) does not show the
            score, and a point would be forgotten by then.
    """

    gamma: Any = 0.99
    symlog_rewards: bool = dataclasses.field(default=False, metadata={"static": True})
    shaping: Any = 1.0
    points: Any = 0.0
    weights: Any = dataclasses.field(default_factory=lambda: np.ones(len(REWARD_PARTS), np.float32))

    def learned(self, reward: jax.Array, info: Mapping[str, Any]) -> jax.Array:
        """What is learned of a step: float32 of any shape.

        Args:
            reward: of the step; `reward_weights` are in it already.
            info: of the step, arrays of the same shape: `reward_parts`, and if these have `score_gain` also `score`,
                `terminated` and `won`.
        """
        learned, parts = reward, info["reward_parts"]
        if self.symlog_rewards:
            weighted = (self.weights[i] * parts[name] for i, name in _TAKEN_BACK if name in parts)
            taken_back = sum(weighted, jnp.zeros_like(reward))
            learned = symlog(reward - taken_back) + taken_back
        if "score_gain" not in parts:
            return learned
        earned = parts["score_gain"] / SCORE_GAIN
        lost = jnp.where(info["terminated"] & ~info["won"], info["score"], 0).astype(jnp.float32)
        return learned + self.points * (earned - lost)

    @property
    def reward_weights(self) -> Any:
        """The weights of the reward parts with `shaping`, for `EnvParams`: float32 (15,)."""
        return self.weights * (1 - _IS_GUIDE * (1 - self.shaping))

    def __str__(self) -> str:
        text = "the rewards still to come"
        if self.symlog_rewards:
            text += ", large ones toned down (500 counts as 6)"
        if self.shaping != 1:
            share = f"{self.shaping:.0%}" if self.shaping else "none"
            text += f", {share} of those for picking up siphons, kills, the way to the exit and points"
        changed = zip(REWARD_PARTS, self.weights, strict=True)
        text += "".join(f", {name} times {weight:g}" for name, weight in changed if weight != 1)
        if self.points:
            text += f", {self.points:g} more for each point, taken back in a lost game"
        return f"{text}, {1 - self.gamma:.1%} less for each action until then"
