"""Training games that start later than the rules say: in any stage, with programs and resources to use.

A beginner dies in the first stages, so it never sees a late one and seldom owns a program: it cannot learn what they
are worth. In a share of the training games it starts with them. Evaluation and all other games start as R2 says.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import random
from hackmatrix_core.game.actions import NUM_PROGRAMS
from hackmatrix_core.game.random import Stream
from hackmatrix_core.game.stage import first_interval
from hackmatrix_core.game.state import MAX_HP, NUM_STAGES, GameState

_MAX_RESOURCES, _MAX_DATA_SIPHONS = 15, 2
_ATTACKS = np.array([1, 1, 1, 1, 1, 2, 2, 3], np.int32)


def with_later_starts(games: GameState, seed: jax.Array, share: float | jax.Array) -> tuple[GameState, jax.Array]:
    """Let some new games start later; games along the last axis.

    These start in a uniformly random stage with hp 1–3, up to 15 credits and energy, up to 2 data siphons, attack 1–3,
    and each program with probability ¼ or, in half of the games, ⅛.

    Args:
        games: N games before their first stage is generated.
        seed: uint32 (2, N).
        share: float32 (N,), the probability of a later start, 0–1.

    Returns:
        The games, and which of them still start by the rules: bool (N,).
    """

    def draw(number: int, limit: int) -> jax.Array:
        return random.below(random.bits(seed, Stream.LATER_START, number), jnp.full_like(games.hp, limit))

    later = draw(0, 1 << 15).astype(jnp.float32) < share * (1 << 15)
    stage = 1 + draw(1, NUM_STAGES)
    first, second, third = (random.bits(seed, Stream.LATER_START, 8 + i) for i in range(3))
    few = jnp.where(draw(2, 2) == 0, third, ~np.uint32(0))
    starts = {
        "stage": stage,
        "interval": first_interval(stage),
        "hp": 1 + draw(3, MAX_HP),
        "credits": draw(4, _MAX_RESOURCES + 1),
        "energy": draw(5, _MAX_RESOURCES + 1),
        "data_siphons": draw(6, _MAX_DATA_SIPHONS + 1),
        "attack": jnp.take(_ATTACKS, draw(7, len(_ATTACKS))),
        "programs": first & second & few & np.uint32((1 << NUM_PROGRAMS) - 1),
    }
    changes = {name: jnp.where(later, value, getattr(games, name)) for name, value in starts.items()}
    return dataclasses.replace(games, **changes), ~later
