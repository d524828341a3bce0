"""What a network's value counts: the return that it learns, which need not be the plain sum of all rewards."""

import dataclasses

import jax
import numpy as np

from hackmatrix_core.agent.critic import symlog
from hackmatrix_core.game.rewards import REWARD_PARTS

REPEATABLE = ("data_siphon", "kills", "distance_shaping")
"""Reward parts (R10) that UNDO does not take back: who picks up a data siphon, undoes two moves and picks it up again,
earns each time."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """The return that is learned.

    Attributes:
        gamma: discount of a reward one step later, 0–1.
        symlog_rewards: whether symlog(reward) is learned instead of the reward.
        shaping: weight of the `REPEATABLE` reward parts, 0–1. They show a beginner the way; who can look ahead finds
            out that they pay more than the game.
    """

    gamma: float = 0.99
    symlog_rewards: bool = False
    shaping: float = 1.0

    def learned(self, reward: jax.Array) -> jax.Array:
        """The reward as it is learned, float32 of any shape; `reward_weights` are in it already."""
        return symlog(reward) if self.symlog_rewards else reward

    @property
    def reward_weights(self) -> np.ndarray:
        """The weights of the reward parts, for `EnvParams`: float32 (15,)."""
        return np.array([self.shaping if part in REPEATABLE else 1.0 for part in REWARD_PARTS], np.float32)

    def __str__(self) -> str:
        rewards = "rewards r counted as sign(r) × log(1 + |r|)" if self.symlog_rewards else "rewards"
        shaping = "" if self.shaping == 1 else f" ({', '.join(REPEATABLE)} times {self.shaping:g})"
        return f"the expected sum of all {rewards}{shaping}, each action later worth {1 - self.gamma:.1%} less"
