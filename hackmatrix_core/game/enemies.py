"""The enemy turn (R6)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, entity, random
from hackmatrix_core.game.entity import full_hp
from hackmatrix_core.game.random import Stream
from hackmatrix_core.game.spawning import SLOTS, compacted, spawn
from hackmatrix_core.game.state import MAX_ENTITIES, GameState
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.reductions import anywhere, least_of, total_of
from hackmatrix_core.game.vectorization.sparse import apply_where

_ONE_TURN = np.uint32(1 << entity.TIMER.shift)
_SLOT_BITS = np.uint32(63)
_SECOND_ROUND = np.uint32(1 << 31)
_NEVER = np.uint32(0xFFFFFFFF)  # no key: the slot bits of a key are below 36
_UNREACHABLE = np.int32(99)
_Visit = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # as `_moved` carries it from visit to visit


class Turn(NamedTuple):
    """What the enemies' part of the turn depends on; games along the last axis."""

    entities: jax.Array  # uint32 (36, N), without gaps
    hp: jax.Array  # int32 (N,), the player's
    position: jax.Array  # int32 (N,), the player's
    blocks: jax.Array  # bitboard (2, N)
    spawns: jax.Array  # int32 (N,), how many transmissions are to be spawned
    first_flags: jax.Array  # uint32 (N,), the flags of the first, packed
    seed: jax.Array  # uint32 (2, N)


def enemy_turn(state: GameState, moves: jax.Array, blocks: jax.Array, seed: jax.Array) -> GameState:
    """The whole enemy turn in the games where `moves`: bool (N,).

    The snapshot (end of R6.5) is left to `history.changed`. blocks is a bitboard (2, N), seed uint32 (2, N).
    """
    moves, skips = moves & ~state.step, moves & state.step
    turn = state.turn + moves.astype(jnp.int32)
    due = moves & ~state.calm & (state.interval > 0) & (turn >= state.next_turn)
    pending = jnp.where(moves, state.pending_spawns, 0)
    spawns = jnp.minimum(pending, MAX_ENTITIES) + due.astype(jnp.int32)  # there is room for no more
    first_flags = jnp.where(due, np.uint32(entity.SCHEDULED.mask), np.uint32(entity.FROM_SIPHON.mask))
    has_entities = state.entities[0] != 0
    entities, hp = apply_where(
        _turn,
        moves & (has_entities | (spawns > 0)),
        (Turn(state.entities, state.hp, state.position, blocks, spawns, first_flags, seed),),
        (state.entities, state.hp),
        groups=4,
    )
    return dataclasses.replace(
        state,
        entities=entities,
        hp=hp,
        step=state.step & ~skips,
        turn=turn,
        next_turn=jnp.where(due, turn + state.interval, state.next_turn),
        pending_spawns=state.pending_spawns - pending,
    )


def _turn(wanted: jax.Array, turn: Turn) -> tuple[jax.Array, jax.Array]:
    """The entities and the player's hp after the turn, in the games where it is `wanted`: bool (N,)."""
    entities = uninlined(_arrived)(turn.entities)
    entities, hp = _moved(wanted, turn._replace(entities=entities))
    spawns = jnp.where(wanted, turn.spawns, 0), turn.first_flags, turn.position, turn.blocks, turn.seed
    entities = spawn(entities, *spawns, flags=entity.FROM_SIPHON.mask, stream=Stream.SPAWN)

    is_enemy = entity.KIND.get(entities) == entity.ENEMY
    entities = jnp.where(is_enemy, entities & ~np.uint32(entity.STUNNED.mask), entities)
    return jnp.where(is_enemy & entity.TIMER.test(entities), entities - _ONE_TURN, entities), hp


def _arrived(entities: jax.Array) -> jax.Array:
    """Transmissions count down and become enemies (R6.1)."""
    kind, timer = entity.KIND.get(entities), entity.TIMER.get(entities)
    arrives = (kind == entity.TRANSMISSION) & (timer <= 1)
    counted = jnp.where((kind == entity.TRANSMISSION) & ~arrives, entities - _ONE_TURN, entities)
    kept = entities & np.uint32(entity.TYPE.mask | entity.CELL.mask | entity.FROM_SIPHON.mask | entity.SCHEDULED.mask)
    enemy = kept | np.uint32(entity.ENEMY | _ONE_TURN) | entity.HP.put(full_hp(entity.TYPE.get(entities)))
    rank = jnp.where(kind == entity.ENEMY, 0, jnp.where(arrives, 1, 2))
    return compacted(jnp.where(arrives, enemy, counted), rank)


def _is_able(entities: jax.Array) -> jax.Array:
    """Which entities are enemies that move or attack in this turn: bool (36, N)."""
    return (entity.KIND.get(entities) == entity.ENEMY) & ~entity.TIMER.test(entities) & ~entity.STUNNED.test(entities)


def _moved(wanted: jax.Array, turn: Turn) -> tuple[jax.Array, jax.Array]:
    """The movement rounds (R6.2): the entities in their new places, and the player's hp.

    Each enemy holds a random key, its slot in the low bits, and the lowest key of a game moves next. A virus that did
    not attack then draws a key for the second round, which lies above all keys of the first.
    """
    entities, hp, position, blocks, _, _, seed = turn
    attack_range = board.neighbours(board.bit(position))
    occupied = board.union(entity.CELL.get(entities), entities != 0)
    first_round = ((random.bits(seed, Stream.MOVE_ORDER, SLOTS) >> 1) & ~_SLOT_BITS) | SLOTS.astype(np.uint32)
    keys = jnp.where(_is_able(entities) & wanted[None], first_round, _NEVER)

    def unfinished(carry: _Visit) -> jax.Array:
        return anywhere(carry[0] != _NEVER)

    def visit(carry: _Visit) -> _Visit:
        keys, entities, occupied, hp = carry
        key = least_of(lambda _, keys: keys, keys)
        slot = jnp.where(key != _NEVER, (key & _SLOT_BITS).astype(jnp.int32), -1)[None]
        word = total_of(lambda slots, entities: jnp.where(slots == slot, entities, 0), entities)
        cell = entity.CELL.get(word)[None]

        def is_company(slots: jax.Array, entities: jax.Array) -> jax.Array:
            is_there = (entity.KIND.get(entities) != entity.NONE) & (entity.CELL.get(entities) == cell)
            return (is_there & (slots != slot)).astype(jnp.uint32)

        word, next_key, occupied, hp = decide(key, word, total_of(is_company, entities) != 0, occupied, hp)
        chosen = slot == SLOTS
        return jnp.where(chosen, next_key[None], keys), jnp.where(chosen, word[None], entities), occupied, hp

    @uninlined
    def decide(key: jax.Array, word: jax.Array, shares_cell: jax.Array, occupied: jax.Array, hp: jax.Array) -> _Visit:
        """What the enemy `word` does: the enemy in its new place, its key for the second round, occupied cells, hp."""
        visits, cell = key != _NEVER, entity.CELL.get(word)
        here = board.bit(cell)
        attacks = visits & ~board.is_empty(here & attack_range)
        walks = visits & ~attacks
        walls = jnp.where((entity.TYPE.get(word) == entity.GLITCH)[None], np.uint32(0), blocks)
        goal = jnp.where(walks, _next_cell(cell, position, walls, occupied, walks), cell)
        occupied = jnp.where((walks & ~shares_cell)[None], occupied & ~here, occupied)
        occupied = jnp.where(walks[None], occupied | board.bit(goal), occupied)
        again = visits & (entity.TYPE.get(word) == entity.VIRUS) & ~attacks & (key < _SECOND_ROUND)
        slot = key & _SLOT_BITS
        second_round = random.bits(seed, Stream.MOVE_ORDER, slot.astype(jnp.int32) + MAX_ENTITIES) | _SECOND_ROUND
        next_key = jnp.where(again, (second_round & ~_SLOT_BITS) | slot, _NEVER)
        return entity.CELL.replace(word, goal), next_key, occupied, jnp.where(attacks, jnp.maximum(hp - 1, 0), hp)

    _, entities, _, hp = lax.while_loop(unfinished, visit, (keys, entities, occupied, hp))
    return entities, hp


def _next_cell(
    cell: jax.Array, position: jax.Array, walls: jax.Array, occupied: jax.Array, walks: jax.Array
) -> jax.Array:
    """The cell that an enemy which does not attack moves to (R6.2, its three steps), its own cell if it stays.

    Both searches, around all others and through them, spread from the player until they touch a neighbour of the
    enemy. They may pass the enemy's own cell: by then they have touched a neighbour.

    Args:
        cell: int32 (N,), the enemy's cell.
        position: int32 (N,), the player's.
        walls: bitboard (2, N), the blocks that stop this enemy.
        occupied: bitboard (2, N), the cells with an enemy or a transmission.
        walks: bool (N,), where an answer is wanted.
    """
    goals = board.neighbours(board.bit(cell))
    start = jnp.where((walks & (cell != position))[None], board.bit(position) & ~walls, np.uint32(0))
    reached, _ = board.flood(jnp.stack([start, start]), jnp.stack([~(walls | occupied), ~walls]), goals[None])
    neighbour = board.neighbour_cells(cell)
    free = (neighbour >= 0) & ~board.contains(occupied, neighbour)
    around_others = _first_of(board.contains(reached[0], neighbour), neighbour)
    through_others = board.contains(reached[1], neighbour)
    through_others = _first_of(through_others, jnp.where(free, neighbour, -1))
    distance = jnp.where(
        free & ~board.contains(walls, neighbour), board.manhattan(neighbour, position[None]), _UNREACHABLE
    )
    nearest = jnp.min(distance, axis=0)
    closest = _first_of((distance == nearest[None]) & (distance < _UNREACHABLE), neighbour)
    goal = jnp.where(around_others >= 0, around_others, jnp.where(through_others >= 0, through_others, closest))
    return jnp.where(goal >= 0, goal, cell)


def _first_of(candidate: jax.Array, value: jax.Array) -> jax.Array:
    """The value of the first candidate in direction order, −1 if there is none: (4, N), (4, N) to (N,)."""
    result = jnp.full(candidate.shape[1:], -1, jnp.int32)
    for direction in reversed(range(4)):
        result = jnp.where(candidate[direction], value[direction], result)
    return result
