"""The player's action, without what the enemies do after it (R4.3, R5, R7)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, history
from hackmatrix_core.game.batching import apart
from hackmatrix_core.game.combat import fight
from hackmatrix_core.game.mask import CREDITS, ENERGY
from hackmatrix_core.game.state import (
    ATK_PLUS,
    BLOCK,
    BLOCK_SPAWN,
    BLOCK_VALUE,
    CALM,
    CONTENT,
    CRASH,
    DATA_BLOCK,
    DATA_SIPHON,
    EXCH,
    EXIT,
    FIRST_PROGRAM_ACTION,
    HIDDEN,
    IS_ENERGY,
    MAX_HP,
    NUM_CELLS,
    NUM_STAGES,
    PROGRAM_BLOCK,
    REDUC,
    RESET,
    RESOURCE,
    SCORE,
    SHOW,
    SIPH_PLUS,
    SIPHON,
    SIPHON_CENTER,
    SIPHONED,
    STEP,
    UNDO,
    WAIT,
    GameState,
)
from hackmatrix_core.game.view import View

MIN_INTERVAL = 4
_CELL_INDEX = np.arange(NUM_CELLS, dtype=np.int32)[:, None]


class Effect(NamedTuple):
    """What an action did, besides the new state; arrays (N,)."""

    kills: jax.Array  # int32 (R10)
    picked_up: jax.Array  # bool: a data siphon, by walking
    completed: jax.Array  # bool: the player reached the exit (R9)
    ends_turn: jax.Array  # bool: the enemies move next (R4.4)


def perform(state: GameState, seen: View, action: jax.Array, seed: jax.Array) -> tuple[GameState, Effect]:
    """Carry out the player's action.

    Args:
        state: games along the last axis.
        seen: the view of `state`.
        action: int32 (N,), a valid action, or −1 to do nothing.
        seed: uint32 (2, N).

    Returns:
        The state and the effect. The list of entities may have gaps; an undo has not been taken off the history yet.
    """
    combat = apart(fight)(state, seen, action, seed)
    is_direction = (action >= 0) & (action < SIPHON)
    walks = is_direction & ~combat.hit_something
    warps = combat.warp_cell >= 0
    goal = board.neighbour_cells(state.position)
    goal = jnp.sum(jnp.where(action[None] == np.arange(4, dtype=np.int32)[:, None], goal, 0), axis=0)
    position = jnp.where(walks, goal, jnp.where(warps, combat.warp_cell, state.position))

    here = _CELL_INDEX == position[None]
    content = jnp.sum(jnp.where(here, CONTENT.get(state.cells), 0), axis=0)
    picked_up = walks & (content == DATA_SIPHON)
    completed = (walks & (content == EXIT)) | (warps & (position == state.exit))

    cells = jnp.where(here & picked_up[None], state.cells & ~np.uint32(BLOCK), state.cells)
    cells = _crash_and_reduce(cells, seen, action)
    cells, loot = apart(_siphoned)(cells, seen, action == SIPHON)
    state = _settle_accounts(state, action, loot, picked_up)
    state = dataclasses.replace(state, cells=cells, entities=combat.entities, position=position)
    state = history.restored(state, action == UNDO)
    ends_turn = (is_direction | (action == SIPHON) | (action == WAIT)) & ~completed
    return state, Effect(combat.kills, picked_up, completed, ends_turn)


def _crash_and_reduce(cells: jax.Array, seen: View, action: jax.Array) -> jax.Array:
    near = board.around(seen.player) & ~seen.player
    crashed = jnp.where((action == CRASH)[None], near & seen.blocks, np.uint32(0))
    cells = jnp.where(board.to_mask(crashed), cells & ~np.uint32(BLOCK), cells)
    reduced = jnp.where((action == REDUC)[None], seen.blocks & ~seen.siphoned, np.uint32(0))
    reduced = board.to_mask(reduced) & BLOCK_SPAWN.test(cells)
    return jnp.where(reduced, cells - np.uint32(1 << BLOCK_SPAWN.shift), cells)


class _Loot(NamedTuple):
    """What a siphon gives; int32 (N,), programs uint32 (N,)."""

    points: jax.Array
    credits: jax.Array
    energy: jax.Array
    spawns: jax.Array
    programs: jax.Array


def _siphoned(cells: jax.Array, seen: View, siphons: jax.Array) -> tuple[jax.Array, _Loot]:
    """R5 on the board: the new cells and what they gave."""
    centre = jnp.where(siphons[None], seen.player, np.uint32(0))
    fresh = board.to_mask((centre | board.neighbours(centre)) & ~seen.siphoned)
    is_block, content = board.to_mask(seen.blocks), CONTENT.get(cells)
    opened, drained = fresh & is_block, fresh & ~is_block

    def total(where: jax.Array, amount: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(where, amount, 0), axis=0)

    value, amount, is_energy = BLOCK_VALUE.get(cells), RESOURCE.get(cells), IS_ENERGY.test(cells)
    found = jnp.where(opened & (content == PROGRAM_BLOCK), np.uint32(1) << value.astype(jnp.uint32), np.uint32(0))
    loot = _Loot(
        points=total(opened & (content == DATA_BLOCK), value),
        credits=total(drained & ~is_energy, amount),
        energy=total(drained & is_energy, amount),
        spawns=total(opened, BLOCK_SPAWN.get(cells)),
        programs=lax.reduce(found, np.uint32(0), lax.bitwise_or, (0,)),
    )
    cells = jnp.where(opened, cells & ~np.uint32(BLOCK_SPAWN.mask | HIDDEN.mask), cells)
    cells = jnp.where(drained, cells & ~np.uint32(RESOURCE.mask | IS_ENERGY.mask), cells)
    cells = jnp.where(fresh, cells | np.uint32(SIPHONED.mask), cells)
    return jnp.where(board.to_mask(centre), cells | np.uint32(SIPHON_CENTER.mask), cells), loot


def _settle_accounts(state: GameState, action: jax.Array, loot: _Loot, picked_up: jax.Array) -> GameState:
    """Costs, gains and flags."""
    siphons = action == SIPHON
    program = action - FIRST_PROGRAM_ACTION
    is_program = program >= 0

    def cost(prices: np.ndarray) -> jax.Array:
        return jnp.where(is_program, jnp.take(prices, program, mode="clip"), 0)

    def one_if(condition: jax.Array) -> jax.Array:
        return condition.astype(jnp.int32)

    scored = jnp.where(action == SCORE, NUM_STAGES - state.stage, 0)
    return dataclasses.replace(
        state,
        hp=jnp.where(action == RESET, MAX_HP, state.hp),
        credits=state.credits - cost(CREDITS) + loot.credits,
        energy=state.energy - cost(ENERGY) + loot.energy + 4 * one_if(action == EXCH),
        data_siphons=state.data_siphons + one_if(picked_up | (action == SIPH_PLUS)) - one_if(siphons),
        attack=state.attack + one_if(action == ATK_PLUS),
        score=state.score + loot.points + scored,
        programs=state.programs | loot.programs,
        show=state.show | (action == SHOW),
        calm=state.calm | (action == CALM),
        step=state.step | (action == STEP),
        atk_plus_uses=state.atk_plus_uses + one_if(action == ATK_PLUS),
        interval=jnp.where(siphons, jnp.maximum(MIN_INTERVAL, state.interval - 1), state.interval),
        next_turn=state.next_turn + jnp.where(siphons, 5, 0),
        pending_spawns=state.pending_spawns + loot.spawns,
    )
