"""The fields of an enemy or a transmission, one packed word (R1.5, R1.6); a free slot is the word 0."""

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game.packing import Field

KIND = Field(0, 2)
NONE, TRANSMISSION, ENEMY = range(3)
TYPE = Field(2, 2)
CELL = Field(4, 6)  # row × 6 + col
HP = Field(10, 2)
STUNNED = Field(12, 1)
FROM_SIPHON = Field(13, 1)
SCHEDULED = Field(14, 1)
TIMER = Field(16, 10)  # an enemy's disabled turns, a transmission's turns left
SEEN = Field(26, 6)  # for who wants to know where an enemy was last seen: cell + 1. The rules only carry it along
REMEMBERED_BITS = np.uint32(0xFFFFFFFF & ~(FROM_SIPHON.mask | SCHEDULED.mask))
"""What the history keeps of an entity (R8.3)."""

VIRUS, DAEMON, GLITCH, CRYPTOG = range(4)
ENEMY_NAMES = ("virus", "daemon", "glitch", "cryptog")
FULL_HP = np.array([2, 3, 2, 2], np.int32)
"""(4,) full hp by enemy type (R1.5)."""


def full_hp(enemy_type: jax.Array) -> jax.Array:
    """The full hp of each type, as `FULL_HP` has it: int32 of the same shape."""
    return jnp.where(enemy_type == DAEMON, FULL_HP[DAEMON], FULL_HP[VIRUS])
