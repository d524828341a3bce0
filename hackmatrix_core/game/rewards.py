"""The 15 reward parts (R10)."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board
from hackmatrix_core.game.batching import apart
from hackmatrix_core.game.sparse import any_slot
from hackmatrix_core.game.state import (
    BLOCK_VALUE,
    CELL,
    CONTENT,
    DATA_BLOCK,
    ENEMY,
    FROM_SIPHON,
    IS_ENERGY,
    KIND,
    PROGRAM_BLOCK,
    RESET,
    RESOURCE,
    SIPHON,
    GameState,
)
from hackmatrix_core.game.view import View

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
_DEATH_PENALTY = -0.5 * np.array([0, 1, 3, 7, 15, 31, 63, 127], np.float32)


class Transition(NamedTuple):
    """One action in N games, as the rewards see it. States with the games along the last axis, the rest (N,)."""

    old: GameState
    new: GameState  # after the enemy turn, before a new stage is generated
    action: jax.Array  # int32
    kills: jax.Array  # int32
    missed: jax.Array  # int32 (R10.1)
    picked_up: jax.Array  # bool
    completed: jax.Array  # bool, a win included
    won: jax.Array  # bool
    died: jax.Array  # bool


def reward_parts(happened: Transition, seen: View) -> dict[str, jax.Array]:
    """The parts by name, float32 (N,) each; `seen` is the view of the old state."""
    old, new, completed, died = happened.old, happened.new, happened.completed, happened.died

    def number(value: jax.Array) -> jax.Array:
        return value.astype(jnp.float32)

    def if_true(condition: jax.Array, value: jax.Array | float) -> jax.Array:
        return jnp.where(condition, jnp.float32(value), jnp.float32(0))

    nearer = number(jnp.maximum(apart(_distance_gain)(happened, seen), 0))
    killer_near = any_slot(
        (KIND.get(new.entities) == ENEMY)
        & FROM_SIPHON.test(new.entities)
        & (board.manhattan(CELL.get(new.entities), new.position[None]) == 1)
    )
    stage_index = old.stage - 1
    wasted = (happened.action == RESET) & (old.hp == 2)
    parts = (
        jnp.full_like(nearer, -0.01),
        if_true(completed, jnp.take(STAGE_REWARD, stage_index, mode="clip")),
        0.5 * number(new.score - old.score),
        0.3 * number(happened.kills),
        if_true(happened.picked_up, 1.0),
        if_true(~died, 0.05 * nearer),
        -number(jnp.maximum(old.hp - new.hp, 0)),
        number(jnp.maximum(new.hp - old.hp, 0)),
        if_true(happened.won, 500.0 + 100.0 * number(new.score)),
        if_true(died, jnp.take(_DEATH_PENALTY, stage_index, mode="clip")),
        if_true(died & killer_near, -10.0),
        0.05 * number(new.credits - old.credits) + 0.05 * number(new.energy - old.energy),
        if_true(completed, 0.01 * number(new.credits + new.energy)),
        if_true(wasted, -0.3),
        if_true(happened.action == SIPHON, -0.5 * (0.05 * number(happened.missed))),
    )
    return dict(zip(REWARD_PARTS, parts, strict=True))


def _distance_gain(happened: Transition, seen: View) -> jax.Array:
    """Old less new walking distance to the exit; the new one is 0 where the stage was completed. int32 (N,)."""
    old, new = happened.old, happened.new

    def both(before: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.concatenate([before, after], axis=-1)

    exits, players = both(old.exit, new.exit), both(old.position, new.position)
    walls = both(seen.blocks, board.blocks(new.cells))
    before, after = jnp.split(board.walking_distance(board.bit(exits), board.bit(players), walls), 2)
    return before - jnp.where(happened.completed, 0, after)


class Siphon(Protocol):
    """What a siphon is judged by; games along the last axis."""

    cells: jax.Array  # uint32 (36, N)
    position: jax.Array  # int32 (N,), the player's
    programs: jax.Array  # uint32 (N,), those owned


def missed_by_siphon(state: Siphon, seen: View) -> jax.Array:
    """Credits plus energy that a better siphon cell would have given more than the player's (R10.1): int32 (N,)."""
    cells, is_block, is_fresh = state.cells, board.to_mask(seen.blocks), ~board.to_mask(seen.siphoned)
    value, amount, is_energy = BLOCK_VALUE.get(cells), RESOURCE.get(cells), IS_ENERGY.test(cells)
    content = CONTENT.get(cells)
    open_fresh = is_fresh & ~is_block
    credits = _plus_sum(jnp.where(open_fresh & ~is_energy, amount, 0))
    energy = _plus_sum(jnp.where(open_fresh & is_energy, amount, 0))
    # A multiset of points as a number: 3 bits count each of the points 1–9, at most 5 cells.
    is_data = is_fresh & (content == DATA_BLOCK)
    data = _plus_sum(jnp.where(is_data, np.uint32(1) << (3 * (value - 1)).astype(jnp.uint32), np.uint32(0)))
    program = np.uint32(1) << value.astype(jnp.uint32)
    is_new = is_fresh & (content == PROGRAM_BLOCK) & ((program & state.programs[None]) == 0)
    programs = _plus_or(jnp.where(is_new, program, np.uint32(0)))

    here = (np.arange(36, dtype=np.int32)[:, None] == state.position[None]) & ~is_block

    def at_player(plane: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(here, plane, plane.dtype.type(0)), axis=0, keepdims=True, dtype=plane.dtype)

    my_credits, my_energy, my_data, my_programs = map(at_player, (credits, energy, data, programs))
    must_cover = board.neighbours(seen.player) & seen.blocks & ~seen.siphoned
    covered = _plus_sum(board.to_mask(must_cover).astype(jnp.int32)) == board.count(must_cover)[None]
    wants_blocks = (my_data != 0) | (my_programs != 0)
    candidate = ~is_block & (covered | ~wants_blocks)
    better = candidate & (data == my_data) & (programs == my_programs)
    better = better & (credits >= my_credits) & (energy >= my_energy) & ((credits > my_credits) | (energy > my_energy))

    def missed(plane: jax.Array, mine: jax.Array) -> jax.Array:
        return jnp.max(jnp.where(better, plane - mine, 0), axis=0)

    return missed(credits, my_credits) + missed(energy, my_energy)


def _plus_sum(plane: jax.Array) -> jax.Array:
    return _over_plus(plane, lax.add)


def _plus_or(plane: jax.Array) -> jax.Array:
    return _over_plus(plane, lax.bitwise_or)


def _over_plus(plane: jax.Array, combine: object) -> jax.Array:
    """Each cell combined with its orthogonal neighbours: (36, N) to (36, N)."""
    games = plane.shape[-1]
    padded = jnp.pad(plane.reshape(6, 6, games), ((1, 1), (1, 1), (0, 0)))
    shifted = (padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2])
    total = padded[1:-1, 1:-1]
    for part in shifted:
        total = combine(total, part)
    return total.reshape(36, games)
