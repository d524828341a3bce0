"""New games and stage generation (R2, R3).

Few games of a batch need a new stage in a step, and drawing one takes many tries: layouts of 11 blocks are accepted
once in eleven. So the games that need one are gathered into small groups, and a group draws several layouts a game at
once and takes the first that is accepted: the same as trying one after another.
"""

import dataclasses
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, cell, entity, random
from hackmatrix_core.game.actions import NUM_PROGRAMS, SPAWNS
from hackmatrix_core.game.random import Stream
from hackmatrix_core.game.spawning import spawn
from hackmatrix_core.game.state import MAX_ENTITIES, MAX_HP, NUM_CELLS, SET_ASIDE, GameState
from hackmatrix_core.game.vectorization.backend import on_gpu
from hackmatrix_core.game.vectorization.reductions import anywhere
from hackmatrix_core.game.vectorization.sparse import apply_where

Number = TypeVar("Number", int, jax.Array)
MIN_BLOCKS, MAX_BLOCKS = 5, 11
MAX_LAYOUTS = 100
_TRIES = 10  # layouts drawn at once for a game
_GROUPS = 32
_CORNERS = np.array([[0x21], [0x21000]], np.uint32)  # bitboard of the cells 0, 5, 30 and 35
_START = np.array([1, 0], np.uint32)[:, None]  # bitboard of the cell (0, 0)


def first_interval(stage: Number) -> Number:
    """The interval of the schedule at the start of a stage, 1–8 (R6.3)."""
    return 13 - stage


def new_games(seed: jax.Array) -> GameState:
    """N games before their first stage is generated (R2), without a history; seed (2, N) uint32."""
    games = seed.shape[1]

    def number(value: int) -> jax.Array:
        return jnp.full(games, value, jnp.int32)

    def words(*shape: int) -> jax.Array:
        return jnp.zeros((*shape, games), jnp.uint32)

    corner = random.bits(seed, Stream.CORNER) >> 30
    bonus = random.below(random.bits(seed, Stream.BONUS), number(3))
    position = jnp.where(corner & 1 != 0, 5, 0) + jnp.where(corner & 2 != 0, 30, 0)
    return GameState(
        cells=words(NUM_CELLS),
        entities=words(MAX_ENTITIES),
        position=position.astype(jnp.int32),
        hp=number(MAX_HP),
        credits=jnp.where(bonus == 0, 10, 0).astype(jnp.int32),
        energy=jnp.where(bonus == 1, 11, 0).astype(jnp.int32),
        data_siphons=(bonus == 2).astype(jnp.int32),
        attack=number(1),
        score=number(0),
        turn=number(0),
        programs=words(),
        show=jnp.zeros(games, bool),
        calm=jnp.zeros(games, bool),
        atk_plus_uses=number(0),
        stage=number(1),
        exit=number(0),
        interval=number(first_interval(1)),
        next_turn=number(first_interval(1)),
        pending_spawns=number(0),
        step=jnp.zeros(games, bool),
        history=SET_ASIDE,
        history_start=number(0),
        history_length=number(0),
    )


Generated = tuple[jax.Array, jax.Array, jax.Array]
"""Cells (36, N), entities with the stage's transmissions (36, N), exit (N,)."""


def generate(
    needed: jax.Array, position: jax.Array, stage: jax.Array, entities: jax.Array, seed: jax.Array
) -> Generated:
    """Generate stages (R3) for the games where they are needed; for the others the result is meaningless.

    Args:
        needed: bool (N,).
        position: int32 (N,), the player's cell.
        stage: int32 (N,), the new stage, 1–8.
        entities: uint32 (36, N), those that stay, without gaps.
        seed: uint32 (2, N).
    """
    blank = (jnp.zeros_like(entities), entities, jnp.zeros_like(position))
    return apply_where(_generate, needed, (position, stage, entities, seed), blank, groups=_GROUPS)


def entered(state: GameState, needed: jax.Array, generated: Generated) -> GameState:
    """Put the games where `needed`, bool (N,), at the start of the generated stage (R3.1)."""
    cells, entities, exits = generated
    return dataclasses.replace(
        state,
        cells=jnp.where(needed[None], cells, state.cells),
        entities=jnp.where(needed[None], entities, state.entities),
        exit=jnp.where(needed, exits, state.exit),
        turn=jnp.where(needed, 0, state.turn),
        next_turn=jnp.where(needed, state.interval, state.next_turn),
        show=state.show & ~needed,
        calm=state.calm & ~needed,
        step=state.step & ~needed,
        atk_plus_uses=jnp.where(needed, 0, state.atk_plus_uses),
    )


def enter(state: GameState, needed: jax.Array, seed: jax.Array) -> GameState:
    """Generate the stage `state.stage` and enter it where `needed`: bool (N,); seed uint32 (2, N)."""
    return entered(state, needed, generate(needed, state.position, state.stage, state.entities, seed))


def _generate(
    wanted: jax.Array, position: jax.Array, stage: jax.Array, entities: jax.Array, seed: jax.Array
) -> Generated:
    """As `generate`, for a group of G games."""
    index = np.arange(NUM_CELLS, dtype=np.int32)[:, None]
    kind = entity.KIND.get(entities)
    occupied = board.union(entity.CELL.get(entities), kind != entity.NONE)

    corners = ~board.bit(position) & _CORNERS
    exit_cell = board.nth(corners, random.below(random.bits(seed, Stream.EXIT), board.count(corners)))
    blocks = _layout(wanted, exit_cell, occupied, seed)

    is_block, is_exit = board.to_mask(blocks), index == exit_cell[None]
    is_data_siphon = board.to_mask(corners) & ~is_exit
    kind_bits = random.bits(seed, Stream.BLOCK_KIND, index)
    is_program = is_block & (kind_bits >> 31 != 0)
    is_hidden = random.below(kind_bits << 1, jnp.int32(10)) == 0
    points = random.below(random.bits(seed, Stream.BLOCK_KIND, index + NUM_CELLS), jnp.int32(9)) + 1
    program = _programs(is_program, seed)
    spawns = jnp.take(SPAWNS, program, mode="clip")
    data_word = _block(cell.DATA_BLOCK, points, points)
    program_word = _block(cell.PROGRAM_BLOCK, program, spawns)
    block_word = jnp.where(is_program, program_word, data_word) | cell.HIDDEN.put(is_hidden)

    # Probabilities .45, .45, .10 as twentieths: 0–8, 9–17, 18–19 (R3.4).
    resource_bits = random.bits(seed, Stream.RESOURCE, index)
    twentieth = random.below(resource_bits << 1, jnp.int32(20))
    amount = 1 + (twentieth >= 9).astype(jnp.int32) + (twentieth >= 18).astype(jnp.int32)
    resource = cell.RESOURCE.put(amount) | cell.IS_ENERGY.put(resource_bits >> 31)
    open_word = resource | cell.CONTENT.put(jnp.where(is_data_siphon, cell.DATA_SIPHON, 0).astype(jnp.int32))
    exit_word = cell.CONTENT.put(jnp.int32(cell.EXIT))
    cells = jnp.where(is_block, block_word, jnp.where(is_exit, exit_word, open_word))

    number, first_flags = jnp.where(wanted, stage, 0), jnp.zeros_like(seed[0])
    entities = spawn(entities, number, first_flags, position, blocks, seed, flags=0, stream=Stream.STAGE_SPAWN)
    return cells, entities, exit_cell


def _block(content: int, value: jax.Array, spawn: jax.Array) -> jax.Array:
    return cell.CONTENT.put(jnp.int32(content)) | cell.BLOCK_VALUE.put(value) | cell.BLOCK_SPAWN.put(spawn)


def _layout(wanted: jax.Array, exit_cell: jax.Array, occupied: jax.Array, seed: jax.Array) -> jax.Array:
    """The cells of the blocks (R3.3) where they are `wanted`, bool (G,): bitboard (2, G)."""
    groups = exit_cell.shape[0]
    number = MIN_BLOCKS + random.below(
        random.bits(seed, Stream.BLOCK_COUNT), jnp.full(groups, MAX_BLOCKS - MIN_BLOCKS + 1, jnp.int32)
    )
    # Lanes are (try, game) pairs.
    lanes = lambda x: jnp.tile(x, (1,) * (x.ndim - 1) + (_TRIES,))  # noqa: E731
    number, exit_lanes, occupied, seed = lanes(number), lanes(exit_cell), lanes(occupied), lanes(seed)
    candidates = ~occupied & ~_CORNERS & board.ALL
    exit_board = board.bit(exit_lanes)
    lane_try = jnp.repeat(jnp.arange(_TRIES, dtype=jnp.int32), groups)

    def unfinished(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        first_try, accepted, _ = carry
        return anywhere(~accepted) & (first_try < MAX_LAYOUTS)

    def draw(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        first_try, accepted, layout = carry
        drawn = _distinct_cells(candidates, number, seed, first_try + lane_try)
        good = _is_accepted(drawn, exit_board).reshape(_TRIES, groups)
        drawn = drawn.reshape(2, _TRIES, groups)
        earlier = jnp.cumsum(good.astype(jnp.int32), axis=0) - good.astype(jnp.int32)
        first_good = good & (earlier == 0)
        best = jnp.sum(jnp.where(first_good[None], drawn, 0), axis=1, dtype=jnp.uint32)
        layout = jnp.where(accepted[None], layout, best)
        return first_try + _TRIES, accepted | jnp.any(good, axis=0), layout

    init = (jnp.int32(0), ~wanted, jnp.zeros((2, groups), jnp.uint32))
    return lax.while_loop(unfinished, draw, init)[2]


def _distinct_cells(candidates: jax.Array, number: jax.Array, seed: jax.Array, attempt: jax.Array) -> jax.Array:
    """Uniformly distinct cells of a bitboard: selection sampling (Knuth, Art of Computer Programming 2, 3.4.2 S)."""

    def visit(cell: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        chosen, left, wanted = carry
        here = board.bit(jnp.full_like(left, cell))
        is_candidate = ~board.is_empty(here & candidates)
        draw = random.below(random.bits(seed, Stream.LAYOUT, attempt * NUM_CELLS + cell), left)
        take = is_candidate & (draw < wanted)
        return (
            jnp.where(take[None], chosen | here, chosen),
            left - is_candidate.astype(jnp.int32),
            wanted - take.astype(jnp.int32),
        )

    init = (jnp.zeros_like(candidates), board.count(candidates), number)
    return lax.fori_loop(0, NUM_CELLS, visit, init, unroll=6 if on_gpu() else 1)[0]


def _is_accepted(blocks: jax.Array, exit_board: jax.Array) -> jax.Array:
    """The two conditions of R3.3 on a layout: bool (L,)."""
    open_cells = ~blocks & board.ALL
    has_opening = board.is_empty(blocks & ~board.neighbours(open_cells))
    # A path may end at the exit, but not lead on.
    passable = open_cells & (~exit_board | _START)
    reached, _ = board.flood(jnp.broadcast_to(_START, blocks.shape), passable, jnp.zeros_like(blocks))
    reached = reached | board.neighbours(reached) & exit_board
    return has_opening & board.is_empty(open_cells & ~reached)


def _programs(is_program: jax.Array, seed: jax.Array) -> jax.Array:
    """The program of each program block, without repetition (R3.3): bool (36, G) to int32 (36, G).

    The first blocks of a uniformly shuffled deck: block k takes a random one of the programs k, k + 1, … of the deck.
    """
    order = board.number_before(board.from_mask(is_program))
    k = np.arange(MAX_BLOCKS, dtype=np.int32)[:, None]
    left = jnp.broadcast_to(NUM_PROGRAMS - k, (MAX_BLOCKS, is_program.shape[1]))
    other = k + random.below(random.bits(seed, Stream.BLOCK_PROGRAM, k), left)
    # The deck as the exchanges so far have left it: (place, program) pairs, the latest last.
    exchanged: list[tuple[jax.Array, jax.Array]] = []
    programs = jnp.zeros_like(order)
    for block in range(MAX_BLOCKS):
        at_block, at_other = jnp.full_like(other[0], block), other[block]
        for place, program in exchanged:
            at_block = jnp.where(place == block, program, at_block)
            at_other = jnp.where(place == other[block], program, at_other)
        exchanged.append((other[block], at_block))
        programs = jnp.where(order == block, at_other[None], programs)
    return programs
