"""The player's action, without what the enemies do after it (R4.3, R5, R7)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.game import actions, board, cell, entity, history
from hackmatrix_core.game.combat import BoardAction, fight, line_of_sight
from hackmatrix_core.game.occupancy import Occupancy, occupancy_of
from hackmatrix_core.game.siphon import Loot, missed_by_siphon, siphoned
from hackmatrix_core.game.spawning import compacted
from hackmatrix_core.game.state import MAX_HP, NUM_CELLS, NUM_STAGES, GameState
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.reductions import total
from hackmatrix_core.game.vectorization.sparse import apply_where

MIN_INTERVAL = 4
_CELL_INDEX = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
_CHANGES_BOARD = actions.set_of(
    actions.PUSH, actions.PULL, actions.CRASH, actions.WARP, actions.POLY, actions.DEBUG, actions.ROW, actions.COL,
    actions.D_BOM, actions.DELAY, actions.ANTI_V, actions.HACK, actions.SIPHON, actions.REDUC, actions.UNDO,
)  # fmt: skip


class Effect(NamedTuple):
    """What an action did, apart from the new state; arrays (N,)."""

    kills: jax.Array  # int32 (R10)
    missed: jax.Array  # int32, credits and energy missed by a siphon (R10.1)
    picked_up: jax.Array  # bool: a data siphon, by walking
    completed: jax.Array  # bool: the player reached the exit (R9)
    ends_turn: jax.Array  # bool: the enemies move next (R4.4)


def perform(state: GameState, occupancy: Occupancy, action: jax.Array, seed: jax.Array) -> tuple[GameState, Effect]:
    """Carry out the player's action.

    Args:
        state: games along the last axis, with their newest snapshots, packed, in place of the histories.
        occupancy: the occupancy of `state`.
        action: int32 (N,), a valid action, or −1 to do nothing.
        seed: uint32 (2, N).

    Returns:
        The state and the effect. An undo has not been removed from the history yet.
    """
    hits = ~board.is_empty(line_of_sight(occupancy, action) & (occupancy.enemies | occupancy.transmissions))
    newest = history.unpack(state.history)
    inputs = BoardAction(
        cells=state.cells,
        entities=state.entities,
        newest_cells=newest.cells,
        newest_entities=newest.entities,
        position=state.position,
        attack=state.attack,
        programs=state.programs,
        action=action,
        seed=seed,
    )
    zero = jnp.zeros_like(action)
    nothing = BoardChange(
        state.cells, state.entities, zero, zero, zero - 1, Loot(zero, zero, zero, zero, state.programs)
    )
    changes_board = (_CHANGES_BOARD >> action.astype(jnp.uint32)) & 1 != 0
    change = apply_where(_change_board, hits | changes_board, (inputs,), nothing, groups=8)

    is_direction = (action >= 0) & (action < actions.SIPHON)
    walks = is_direction & ~hits
    warps = change.warp_cell >= 0
    goal = board.neighbour_cells(state.position)
    goal = jnp.sum(jnp.where(action[None] == np.arange(4, dtype=np.int32)[:, None], goal, 0), axis=0)
    position = jnp.where(walks, goal, jnp.where(warps, change.warp_cell, state.position))

    here = _CELL_INDEX == position[None]
    content = total(jnp.where(here, cell.CONTENT.get(change.cells), 0))
    picked_up = walks & (content == cell.DATA_SIPHON)
    completed = (walks & (content == cell.EXIT)) | (warps & (position == state.exit))
    cells = jnp.where(here & picked_up[None], change.cells & ~np.uint32(cell.BLOCK), change.cells)

    state = dataclasses.replace(state, position=position)
    state = _settle_accounts(state, action, change.loot, picked_up)
    undone = {
        name: jnp.where(action == actions.UNDO, getattr(newest, name), getattr(state, name)) for name in history.NUMBERS
    }
    state = dataclasses.replace(state, **undone, cells=cells, entities=change.entities)
    ends_turn = (is_direction | (action == actions.SIPHON) | (action == actions.WAIT)) & ~completed
    return state, Effect(change.kills, change.missed, picked_up, completed, ends_turn)


class BoardChange(NamedTuple):
    """What these actions did."""

    cells: jax.Array  # uint32 (36, N)
    entities: jax.Array  # uint32 (36, N), without gaps
    kills: jax.Array  # int32 (N,)
    missed: jax.Array  # int32 (N,)
    warp_cell: jax.Array  # int32 (N,), −1 for none
    loot: Loot


def _change_board(_: jax.Array, inputs: BoardAction) -> BoardChange:
    occupancy = uninlined(occupancy_of)(inputs.cells, inputs.entities, inputs.position)
    siphons, undoes = inputs.action == actions.SIPHON, (inputs.action == actions.UNDO)[None]
    missed = uninlined(missed_by_siphon)(inputs.cells, inputs.position, inputs.programs, occupancy)
    combat = fight(inputs, occupancy)
    cells = _crash_and_reduce(inputs.cells, occupancy, inputs.action)
    cells, loot = uninlined(siphoned)(cells, occupancy, inputs.programs, siphons)
    entities = compacted(combat.entities, jnp.where(entity.KIND.get(combat.entities) == entity.ENEMY, 0, 1))
    return BoardChange(
        cells=jnp.where(undoes, inputs.newest_cells, cells),
        entities=jnp.where(undoes, inputs.newest_entities, entities),
        kills=combat.kills,
        missed=jnp.where(siphons, missed, 0),
        warp_cell=combat.warp_cell,
        loot=loot,
    )


def _crash_and_reduce(cells: jax.Array, occupancy: Occupancy, action: jax.Array) -> jax.Array:
    near = board.around(occupancy.player) & ~occupancy.player
    crashed = jnp.where((action == actions.CRASH)[None], near & occupancy.blocks, np.uint32(0))
    cells = jnp.where(board.to_mask(crashed), cells & ~np.uint32(cell.BLOCK), cells)
    reduced = jnp.where((action == actions.REDUC)[None], occupancy.blocks & ~occupancy.siphoned, np.uint32(0))
    reduced = board.to_mask(reduced) & cell.BLOCK_SPAWN.test(cells)
    return jnp.where(reduced, cells - np.uint32(1 << cell.BLOCK_SPAWN.shift), cells)


def _settle_accounts(state: GameState, action: jax.Array, loot: Loot, picked_up: jax.Array) -> GameState:
    """Costs, gains and flags."""
    siphons = action == actions.SIPHON
    program = action - actions.FIRST_PROGRAM
    is_program = program >= 0

    def cost(prices: np.ndarray) -> jax.Array:
        return jnp.where(is_program, jnp.take(prices, program, mode="clip"), 0)

    def one_if(condition: jax.Array) -> jax.Array:
        return condition.astype(jnp.int32)

    scored = jnp.where(action == actions.SCORE, NUM_STAGES - state.stage, 0)
    return dataclasses.replace(
        state,
        hp=jnp.where(action == actions.RESET, MAX_HP, state.hp),
        credits=state.credits - cost(actions.CREDITS) + loot.credits,
        energy=state.energy - cost(actions.ENERGY) + loot.energy + 4 * one_if(action == actions.EXCH),
        data_siphons=state.data_siphons + one_if(picked_up | (action == actions.SIPH_PLUS)) - one_if(siphons),
        attack=state.attack + one_if(action == actions.ATK_PLUS),
        score=state.score + loot.points + scored,
        programs=loot.programs,
        show=state.show | (action == actions.SHOW),
        calm=state.calm | (action == actions.CALM),
        step=state.step | (action == actions.STEP),
        atk_plus_uses=state.atk_plus_uses + one_if(action == actions.ATK_PLUS),
        interval=jnp.where(siphons, jnp.maximum(MIN_INTERVAL, state.interval - 1), state.interval),
        next_turn=state.next_turn + jnp.where(siphons, 5, 0),
        pending_spawns=state.pending_spawns + loot.spawns,
    )
