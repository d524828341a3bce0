"""The list of entities: closing gaps, spawning (R1.7, R6.4)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, entity, random
from hackmatrix_core.game.state import MAX_ENTITIES, NUM_CELLS
from hackmatrix_core.game.vectorization.batching import uninlined
from hackmatrix_core.game.vectorization.loops import union_over
from hackmatrix_core.game.vectorization.reductions import anywhere, total

SLOTS = np.arange(MAX_ENTITIES, dtype=np.int32)[:, None]


def compacted(entities: jax.Array, rank: jax.Array) -> jax.Array:
    """Order entities by rank without changing the order within a rank, free slots last.

    Args:
        entities: (36, N) uint32.
        rank: (36, N) int32, 0–2; for free slots it does not matter.

    Returns:
        (36, N) uint32.
    """
    filled = entity.KIND.get(entities) != entity.NONE
    ranks = np.arange(3, dtype=np.int32)[:, None, None]
    member = filled[None] & (rank[None] == ranks)
    boards = board.from_mask(member)
    numbers = board.count(boards)[:, None]
    first = jnp.where(ranks > 0, numbers[:1], 0) + jnp.where(ranks > 1, numbers[1:2], 0)
    in_earlier_slots = board.number_before(boards)
    target = jnp.where(filled, jnp.sum(jnp.where(member, first + in_earlier_slots, 0), axis=0), -1)

    return union_over(filled, lambda _, word, goal: jnp.where(goal == SLOTS, word, 0), entities, target)


def spawn(
    entities: jax.Array,
    number: jax.Array,
    first_flags: jax.Array,
    position: jax.Array,
    blocks: jax.Array,
    seed: jax.Array,
    *,
    flags: int,
    stream: random.Stream,
) -> jax.Array:
    """Spawn transmissions one after the other; a search can fail although there are cells (R6.4).

    Args:
        entities: uint32 (36, N) without gaps.
        number: int32 (N,), how many; those for which no cell is found or no room is left are dropped.
        first_flags: uint32 (N,), the flags of the first one, packed.
        position: int32 (N,), the player's cell.
        blocks: bitboard (2, N).
        seed: uint32 (2, N).
        flags: those of all but the first, packed.
        stream: the place of use.

    Returns:
        (36, N) uint32, the entities with the new transmissions at the end.
    """
    kind = entity.KIND.get(entities)
    enemies = board.union(entity.CELL.get(entities), kind == entity.ENEMY)
    in_fire = board.line_of_fire(position, blocks | enemies)
    taken = board.union(entity.CELL.get(entities), kind != entity.NONE)
    length = total((kind != entity.NONE).astype(jnp.int32))
    free = ~(blocks | taken | board.bit(position)) & board.ALL
    new_word = np.uint32(entity.TRANSMISSION | (1 << entity.TIMER.shift))

    def unfinished(carry: _Spawning) -> jax.Array:
        return anywhere((number > carry.tried) & (carry.length < MAX_ENTITIES) & ~board.is_empty(carry.free))

    def spawn_one(carry: _Spawning) -> _Spawning:
        entities, free, length, tried = carry
        word, free = drawn(free, length, tried)
        is_new = word != 0
        entities = jnp.where((length[None] == SLOTS) & is_new[None], word[None], entities)
        return _Spawning(entities, free, length + is_new.astype(jnp.int32), tried + 1)

    @uninlined
    def drawn(free: jax.Array, length: jax.Array, tried: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The new transmission (0 for none) and the cells that stay free."""
        which, which_type, first, second = (random.bits(seed, stream, 4 * tried + i) for i in range(4))
        preferred = free & ~in_fire
        finds_preferred = _finds(first, board.count(preferred))
        choice = jnp.where(finds_preferred[None], preferred, free)
        cell = board.nth(choice, random.below(which, board.count(choice)))
        spawns = (tried < number) & (finds_preferred | _finds(second, board.count(free))) & (length < MAX_ENTITIES)
        own_flags = jnp.where(tried == 0, first_flags, np.uint32(flags))
        word = new_word | entity.CELL.put(cell) | ((which_type >> 30) << entity.TYPE.shift) | own_flags
        free = jnp.where(spawns[None], free & ~board.bit(cell), free)
        return jnp.where(spawns, word, np.uint32(0)), free

    return lax.while_loop(unfinished, spawn_one, _Spawning(entities, free, length, jnp.int32(0))).entities


class _Spawning(NamedTuple):
    """Where spawning one after the other has come to."""

    entities: jax.Array  # uint32 (36, N)
    free: jax.Array  # bitboard (2, N), the open cells
    length: jax.Array  # int32 (N,), entities so far
    tried: jax.Array  # int32 (), spawns so far, the dropped ones too


_DRAWS = 100
_MISSED = np.array([round(2**32 * (1 - k / NUM_CELLS) ** _DRAWS) for k in range(1, NUM_CELLS + 1)], np.uint32)
"""2³² times the probability that 100 cells of the whole board, drawn at random, are none of k: for k from 1 to 36."""


def _finds(random_bits: jax.Array, number: jax.Array) -> jax.Array:
    """Whether the original's search finds one of `number` cells, int32 (N,), one draw for all of its 100: bool (N,)."""
    return (number > 0) & (random_bits >= jnp.take(_MISSED, number - 1, mode="clip"))
