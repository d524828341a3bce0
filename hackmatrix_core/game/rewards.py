"""The 15 reward parts (R10)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import actions, board, entity
from hackmatrix_core.game.occupancy import Occupancy
from hackmatrix_core.game.player import Effect
from hackmatrix_core.game.state import GameState
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.reductions import any_of
from hackmatrix_core.game.vectorization.rows import stacked

REWARD_PARTS = (
    "step_penalty",
    "stage_completion",
    "score_gain",
    "kills",
    "data_siphon",
    "distance_shaping",
    "damage_penalty",
    "hp_recovery",
    "victory",
    "death_penalty",
    "siphon_death_penalty",
    "resource_gain",
    "resource_holding",
    "program_waste",
    "siphon_quality",
)
"""The names of the parts, in the order of R10."""
STAGE_REWARD = np.array([1, 2, 4, 8, 16, 32, 64, 64], np.float32)
SCORE_GAIN = 0.5
"""The reward for a point of score."""
_DEATH_PENALTY = -0.5 * np.array([0, 1, 3, 7, 15, 31, 63, 127], np.float32)


class Transition(NamedTuple):
    """One action in N games, as the rewards see it. States with the games along the last axis, the rest (N,)."""

    old: GameState
    new: GameState  # after the enemy turn, before a new stage is generated
    new_blocks: jax.Array  # bitboard (2, N)
    action: jax.Array  # int32
    effect: Effect
    won: jax.Array  # bool
    died: jax.Array  # bool


def reward_parts(happened: Transition, occupancy: Occupancy) -> jax.Array:
    """The parts: float32 (15, N), in the order of `REWARD_PARTS`; `occupancy` is the occupancy of the old state."""
    old, new, effect, died = happened.old, happened.new, happened.effect, happened.died

    def number(value: jax.Array) -> jax.Array:
        return value.astype(jnp.float32)

    def if_true(condition: jax.Array, value: jax.Array | float) -> jax.Array:
        return jnp.where(condition, jnp.float32(value), jnp.float32(0))

    nearer = number(jnp.maximum(uninlined(_distance_gain)(happened, occupancy), 0))
    killer_near = any_of(
        (entity.KIND.get(new.entities) == entity.ENEMY)
        & entity.FROM_SIPHON.test(new.entities)
        & (board.manhattan(entity.CELL.get(new.entities), new.position[None]) == 1)
    )
    stage_index = old.stage - 1
    wasted = (happened.action == actions.RESET) & (old.hp == 2)
    parts = (
        jnp.full_like(nearer, -0.01),
        if_true(effect.completed, jnp.take(STAGE_REWARD, stage_index, mode="clip")),
        SCORE_GAIN * number(new.score - old.score),
        0.3 * number(effect.kills),
        if_true(effect.picked_up, 1.0),
        if_true(~died, 0.05 * nearer),
        -number(jnp.maximum(old.hp - new.hp, 0)),
        number(jnp.maximum(new.hp - old.hp, 0)),
        if_true(happened.won, 500.0 + 100.0 * number(new.score)),
        if_true(died, jnp.take(_DEATH_PENALTY, stage_index, mode="clip")),
        if_true(died & killer_near, -10.0),
        0.05 * number(new.credits - old.credits) + 0.05 * number(new.energy - old.energy),
        if_true(effect.completed, 0.01 * number(new.credits + new.energy)),
        if_true(wasted, -0.3),
        if_true(happened.action == actions.SIPHON, -0.5 * (0.05 * number(effect.missed))),
    )
    return stacked(parts)


def by_name(parts: jax.Array) -> dict[str, jax.Array]:
    """The parts, (15, …), by their names."""
    return dict(zip(REWARD_PARTS, parts, strict=True))


def _distance_gain(happened: Transition, occupancy: Occupancy) -> jax.Array:
    """Old minus new walking distance to the exit; the new one is 0 where the stage was completed. int32 (N,)."""
    old, new = happened.old, happened.new

    def both(before: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.concatenate([before, after], axis=-1)

    exits, players = both(old.exit, new.exit), both(old.position, new.position)
    walls = both(occupancy.blocks, happened.new_blocks)
    before, after = jnp.split(board.walking_distance(board.bit(exits), board.bit(players), walls), 2)
    return before - jnp.where(happened.effect.completed, 0, after)
