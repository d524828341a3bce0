"""The list of entities: closing gaps, spawning (R1.7, R6.4)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, random
from hackmatrix_core.game.batching import apart
from hackmatrix_core.game.reductions import anywhere, last_row, total
from hackmatrix_core.game.state import CELL, ENEMY, KIND, MAX_ENTITIES, NO_ENTITY, TIMER, TRANSMISSION, TYPE

SLOTS = np.arange(MAX_ENTITIES, dtype=np.int32)[:, None]


def compacted(entities: jax.Array, rank: jax.Array) -> jax.Array:
    """Order entities by rank without changing the order within a rank, free slots last.

    Args:
        entities: (36, N) uint32.
        rank: (36, N) int32, 0–2; of free slots it does not matter.

    Returns:
        (36, N) uint32.
    """
    filled = KIND.get(entities) != NO_ENTITY
    ranks = np.arange(3, dtype=np.int32)[:, None, None]
    member = filled[None] & (rank[None] == ranks)
    boards = board.from_mask(member)
    numbers = board.count(boards)[:, None]
    first = jnp.where(ranks > 0, numbers[:1], 0) + jnp.where(ranks > 1, numbers[1:2], 0)
    in_earlier_slots = board.number_before(boards)
    target = jnp.where(filled, jnp.sum(jnp.where(member, first + in_earlier_slots, 0), axis=0), -1)

    used = 1 + last_row(filled)

    def place(slot: jax.Array, out: jax.Array) -> jax.Array:
        word = lax.dynamic_slice_in_dim(entities, slot, 1)
        goal = lax.dynamic_slice_in_dim(target, slot, 1)
        return jnp.where(goal == SLOTS, word, out)

    return lax.fori_loop(0, used, place, jnp.zeros_like(entities))


class Spawns(NamedTuple):
    """What is to be spawned, and where."""

    entities: jax.Array  # uint32 (36, N) without gaps
    number: jax.Array  # int32 (N,); those that find no cell or no room are dropped
    first_flags: jax.Array  # uint32 (N,), the flags of the first one, packed
    position: jax.Array  # int32 (N,), the player's cell
    blocks: jax.Array  # bitboard (2, N)
    seed: jax.Array  # uint32 (2, N)


def spawn(spawns: Spawns, *, flags: int, stream: random.Stream) -> jax.Array:
    """Spawn transmissions one after the other (R6.4).

    Args:
        spawns: games along the last axis.
        flags: those of all but the first, packed.
        stream: the place of use.

    Returns:
        (36, N) uint32, the entities with the new transmissions at the end.
    """
    entities, number, first_flags, position, blocks, seed = spawns
    kind = KIND.get(entities)
    enemies = board.union(CELL.get(entities), kind == ENEMY)
    in_fire = board.line_of_fire(position, blocks | enemies)
    taken = board.union(CELL.get(entities), kind != NO_ENTITY)
    length = total((kind != NO_ENTITY).astype(jnp.int32))
    free = ~(blocks | taken | board.bit(position)) & board.ALL
    new_word = np.uint32(TRANSMISSION | (1 << TIMER.shift))

    def unfinished(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return anywhere(number > carry[2])

    def spawn_one(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        entities, free, done = carry
        word, free = drawn(free, done)
        return jnp.where((length[None] + done == SLOTS) & (word != 0)[None], word[None], entities), free, done + 1

    @apart
    def drawn(free: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The new transmission (0 for none) and the cells that stay free."""
        preferred = free & ~in_fire
        choice = jnp.where(board.is_empty(preferred)[None], free, preferred)
        which = random.below(random.bits(seed, stream, 2 * done), board.count(choice))
        cell = board.nth(choice, which)
        new_type = random.bits(seed, stream, 2 * done + 1) >> 30
        # One dropped, all later ones are: cells and room only become fewer. So the slot is right in each round.
        spawns = (done < number) & ~board.is_empty(choice) & (length + done < MAX_ENTITIES)
        word = (
            new_word | CELL.put(cell) | (new_type << TYPE.shift) | jnp.where(done == 0, first_flags, np.uint32(flags))
        )
        free = jnp.where(spawns[None], free & ~board.bit(cell), free)
        return jnp.where(spawns, word, np.uint32(0)), free

    return lax.while_loop(unfinished, spawn_one, (entities, free, jnp.int32(0)))[0]
