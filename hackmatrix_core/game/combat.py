"""What an action does to enemies and transmissions: attacks, damage, removal, pushes (R4.3, R7, R8.1, R8.2).

The actions share their machinery: a set of slots that are removed, a set that is harmed, a new place for each slot.
Which sets these are depends on the action; the masks of all actions are computed for every game of the batch.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import actions, board, entity, random
from hackmatrix_core.game.actions import DIRECTIONS
from hackmatrix_core.game.entity import full_hp
from hackmatrix_core.game.occupancy import Occupancy
from hackmatrix_core.game.random import Stream
from hackmatrix_core.game.spawning import SLOTS
from hackmatrix_core.game.state import BOARD_SIZE, MAX_HP, NUM_CELLS
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.loops import is_first
from hackmatrix_core.game.vectorization.reductions import least, total

_FAR = np.int32(1 << 20)
_CELL_INDEX = np.arange(NUM_CELLS, dtype=np.int32)[:, None]


class Combat(NamedTuple):
    """What became of the entities."""

    entities: jax.Array  # uint32 (36, N), with gaps where entities were removed
    kills: jax.Array  # int32 (N,) (R10)
    warp_cell: jax.Array  # int32 (N,): where WARP puts the player, otherwise −1


class BoardAction(NamedTuple):
    """What the actions that change the board depend on; games along the last axis."""

    cells: jax.Array  # uint32 (36, N)
    entities: jax.Array  # uint32 (36, N), without gaps
    newest_cells: jax.Array  # uint32 (36, N), of the newest snapshot
    newest_entities: jax.Array  # uint32 (36, N)
    position: jax.Array  # int32 (N,)
    attack: jax.Array  # int32 (N,)
    programs: jax.Array  # uint32 (N,)
    action: jax.Array  # int32 (N,)
    seed: jax.Array  # uint32 (2, N)


def line_of_sight(occupancy: Occupancy, action: jax.Array) -> jax.Array:
    """The cells from the player along a direction to the first block: bitboard (2, N), empty for other actions."""

    def shift(cells: jax.Array) -> jax.Array:
        shifted: Any = np.uint32(0)
        for direction, by in enumerate(board.SHIFTS):
            shifted = jnp.where((action == direction)[None], by(cells), shifted)
        return shifted

    ray = shift(occupancy.player)
    line = ray
    for _ in range(BOARD_SIZE - 2):
        ray = shift(ray & ~occupancy.blocks)
        line = line | ray
    return line


def fight(state: BoardAction, occupancy: Occupancy) -> Combat:
    """The action's effect on the entities; `occupancy` is that of the same games."""
    action = state.action
    target, meets_transmission = uninlined(_look_ahead)(state, occupancy)
    bombed = _nearest_daemon(state, occupancy)
    warped = _warp_target(state, occupancy)
    warp_cell = _at(occupancy.cell, warped, -1)
    warp_kind_is_enemy = _at(occupancy.is_enemy.astype(jnp.int32), warped, 0) != 0

    near = board.contains(board.around(occupancy.player) & ~occupancy.player, occupancy.cell)
    removed = (occupancy.is_enemy | occupancy.is_transmission) & (
        ((SLOTS == target[None]) & meets_transmission[None])
        | (SLOTS == bombed[None])
        | ((action == actions.CRASH)[None] & near)
        | ((occupancy.cell == warp_cell[None]) & (occupancy.is_enemy == warp_kind_is_enemy[None]))
    )
    harmed = uninlined(_harmed)(state, occupancy, target, bombed) & ~removed
    damage = jnp.where((action == actions.D_BOM) | (action == actions.ANTI_V), 1, state.attack)

    transformed = (action == actions.POLY)[None] & occupancy.is_enemy
    turn_by = 1 + random.below(random.bits(state.seed, Stream.POLY, SLOTS), jnp.int32(3))
    new_type = jnp.where(transformed, (occupancy.type + turn_by) & 3, occupancy.type)
    more_hp = jnp.where(transformed, full_hp(new_type) - full_hp(occupancy.type), 0)
    hp = entity.HP.get(state.entities) + more_hp - jnp.where(harmed, damage[None], 0)
    dead = (harmed | transformed) & (hp <= 0)

    entities = entity.HP.replace(entity.TYPE.replace(state.entities, new_type), jnp.clip(hp, 0, MAX_HP))
    entities = jnp.where(harmed, entities | np.uint32(entity.STUNNED.mask), entities)
    delayed = (action == actions.DELAY)[None] & occupancy.is_transmission
    entities = jnp.where(delayed, entities + np.uint32(3 << entity.TIMER.shift), entities)
    entities = jnp.where(removed | dead, np.uint32(0), entities)
    entities = entity.CELL.replace(entities, uninlined(_shoved)(state, occupancy)) * (entities != 0).astype(jnp.uint32)

    scheduled = entity.SCHEDULED.test(state.entities)
    # Removals count without damage: one a cell and kind, by the first in the list, none if that is scheduled.
    gone = is_first(removed, 2 * occupancy.cell + occupancy.is_enemy.astype(jnp.int32))
    kills = total((dead & ~scheduled).astype(jnp.int32)) + total((gone & ~scheduled).astype(jnp.int32))
    return Combat(entities, kills, warp_cell)


def _at(values: jax.Array, slot: jax.Array, default: int) -> jax.Array:
    """values[slot] game by game, int32: (36, N), (N,) to (N,); the default where the slot is negative."""
    picked = total(jnp.where(SLOTS == slot[None], values, 0))
    return jnp.where(slot >= 0, picked, default)


def _look_ahead(state: BoardAction, occupancy: Occupancy) -> tuple[jax.Array, jax.Array]:
    """What the look along a direction meets (R4.3): its slot, −1 for nothing; and whether it is a transmission."""
    is_direction = state.action[None] == np.arange(len(DIRECTIONS), dtype=np.int32)[:, None]
    d_row = jnp.sum(jnp.where(is_direction, DIRECTIONS[:, :1], 0), axis=0)
    d_col = jnp.sum(jnp.where(is_direction, DIRECTIONS[:, 1:], 0), axis=0)
    row, col = board.row_of(state.position), board.col_of(state.position)

    def steps_ahead(cell: board.Cells) -> jax.Array:
        rows, cols = board.row_of(cell) - row[None], board.col_of(cell) - col[None]
        along, across = rows * d_row[None] + cols * d_col[None], rows * d_col[None] + cols * d_row[None]
        return jnp.where((along > 0) & (across == 0), along, _FAR)

    wall = least(jnp.where(board.to_mask(occupancy.blocks), steps_ahead(_CELL_INDEX), _FAR))
    steps = steps_ahead(occupancy.cell)
    is_candidate = (occupancy.is_enemy | occupancy.is_transmission) & (steps < BOARD_SIZE) & (steps <= wall[None])
    # The nearest; on one cell transmissions before enemies, then the order of the list.
    order = steps * 128 + jnp.where(occupancy.is_enemy, 64, 0) + SLOTS
    best = least(jnp.where(is_candidate, order, _FAR))
    found = jnp.any(is_direction, axis=0) & (best < _FAR)
    return jnp.where(found, best & 63, -1), found & (best & 64 == 0)


def _nearest_daemon(state: BoardAction, occupancy: Occupancy) -> jax.Array:
    """The slot that D_BOM removes (R8.2), −1 for other actions."""
    is_daemon = occupancy.is_enemy & (occupancy.type == entity.DAEMON)
    order = board.manhattan(occupancy.cell, state.position[None]) * 64 + SLOTS
    nearest = least(jnp.where(is_daemon, order, _FAR))
    return jnp.where((state.action == actions.D_BOM) & (nearest < _FAR), nearest & 63, -1)


def _warp_target(state: BoardAction, occupancy: Occupancy) -> jax.Array:
    """The slot of a uniformly random entity for WARP, −1 for other actions."""
    length = total((occupancy.is_enemy | occupancy.is_transmission).astype(jnp.int32))
    return jnp.where(state.action == actions.WARP, random.below(random.bits(state.seed, Stream.WARP), length), -1)


def _harmed(state: BoardAction, occupancy: Occupancy, target: jax.Array, bombed: jax.Array) -> jax.Array:
    """The enemies that the action damages: bool (36, N)."""
    action, bomb = state.action, board.bit(_at(occupancy.cell, bombed, -1))
    region = jnp.where((action == actions.DEBUG)[None], occupancy.blocks, np.uint32(0))
    region = jnp.where((action == actions.HACK)[None], occupancy.siphoned, region)
    region = jnp.where((action == actions.D_BOM)[None], board.around(bomb) & ~bomb, region)
    same_row = board.row_of(occupancy.cell) == board.row_of(state.position)[None]
    same_col = board.col_of(occupancy.cell) == board.col_of(state.position)[None]
    return occupancy.is_enemy & (
        (SLOTS == target[None])
        | board.contains(region, occupancy.cell)
        | ((action == actions.ROW)[None] & same_row)
        | ((action == actions.COL)[None] & same_col)
        | ((action == actions.ANTI_V)[None] & (occupancy.type == entity.VIRUS))
    )


def _shoved(state: BoardAction, occupancy: Occupancy) -> jax.Array:
    """The cell of each entity after PUSH or PULL (R8.1), unchanged after other actions: int32 (36, N)."""
    shoves = (state.action == actions.PUSH) | (state.action == actions.PULL)
    pulls = (state.action == actions.PULL)[None]
    row, col = board.row_of(occupancy.cell), board.col_of(occupancy.cell)
    away_row = jnp.sign(row - board.row_of(state.position)[None])
    away_col = jnp.sign(col - board.col_of(state.position)[None])
    d_row, d_col = jnp.where(pulls, -away_row, away_row), jnp.where(pulls, -away_col, away_col)
    goal = jnp.full_like(occupancy.cell, -1)
    best = jnp.full_like(occupancy.cell, _FAR)
    for row_step, col_step, exists in (
        (d_row, d_col, True),
        (d_row, jnp.zeros_like(d_col), d_row != 0),
        (jnp.zeros_like(d_row), d_col, d_col != 0),
    ):
        cell = board.cell_at(row + row_step, col + col_step)
        is_candidate = (cell >= 0) & exists & ~(pulls & (cell == state.position[None]))
        distance = board.manhattan(cell, state.position[None])
        cost = jnp.where(pulls, distance, -distance)
        better = is_candidate & (cost < best)
        goal, best = jnp.where(better, cell, goal), jnp.where(better, cost, best)
    goes = occupancy.is_enemy & shoves[None] & (goal >= 0) & (goal != occupancy.cell)
    return jnp.where(is_first(goes, goal), goal, occupancy.cell)
