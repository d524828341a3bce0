"""The siphon: what it takes, and what a better place for it would have given (R5, R10.1)."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hackmatrix_core.game import board, cell
from hackmatrix_core.game.occupancy import Occupancy
from hackmatrix_core.game.vectorization.reductions import largest, total, union


class Loot(NamedTuple):
    """What a siphon gives, and the programs owned after it."""

    points: jax.Array  # int32 (N,)
    credits: jax.Array  # int32 (N,)
    energy: jax.Array  # int32 (N,)
    spawns: jax.Array  # int32 (N,)
    programs: jax.Array  # uint32 (N,)


def siphoned(cells: jax.Array, occupancy: Occupancy, programs: jax.Array, siphons: jax.Array) -> tuple[jax.Array, Loot]:
    """R5 on the board.

    Args:
        cells: uint32 (36, N).
        occupancy: the occupancy of the state.
        programs: uint32 (N,), those owned.
        siphons: bool (N,), the games in which there is a siphon.

    Returns:
        The new cells and what the siphoned ones gave; 0 where there was no siphon.
    """
    centre = jnp.where(siphons[None], occupancy.player, np.uint32(0))
    fresh = board.to_mask((centre | board.neighbours(centre)) & ~occupancy.siphoned)
    is_block, content = board.to_mask(occupancy.blocks), cell.CONTENT.get(cells)
    opened, drained = fresh & is_block, fresh & ~is_block

    def gain(where: jax.Array, amount: jax.Array) -> jax.Array:
        return total(jnp.where(where, amount, 0))

    value, amount, is_energy = cell.BLOCK_VALUE.get(cells), cell.RESOURCE.get(cells), cell.IS_ENERGY.test(cells)
    found = jnp.where(opened & (content == cell.PROGRAM_BLOCK), np.uint32(1) << value.astype(jnp.uint32), np.uint32(0))
    loot = Loot(
        points=gain(opened & (content == cell.DATA_BLOCK), value),
        credits=gain(drained & ~is_energy, amount),
        energy=gain(drained & is_energy, amount),
        spawns=gain(opened, cell.BLOCK_SPAWN.get(cells)),
        programs=programs | union(found),
    )
    cells = jnp.where(opened, cells & ~np.uint32(cell.BLOCK_SPAWN.mask | cell.HIDDEN.mask), cells)
    cells = jnp.where(drained, cells & ~np.uint32(cell.RESOURCE.mask | cell.IS_ENERGY.mask), cells)
    cells = jnp.where(fresh, cells | np.uint32(cell.SIPHONED.mask), cells)
    return jnp.where(board.to_mask(centre), cells | np.uint32(cell.SIPHON_CENTER.mask), cells), loot


def missed_by_siphon(cells: jax.Array, position: jax.Array, programs: jax.Array, occupancy: Occupancy) -> jax.Array:
    """How much more credits plus energy a better siphon cell would have given (R10.1): int32 (N,).

    Args:
        cells: uint32 (36, N).
        position: int32 (N,), the player's.
        programs: uint32 (N,), those owned.
        occupancy: the occupancy of the state.
    """
    is_block, is_fresh = board.to_mask(occupancy.blocks), ~board.to_mask(occupancy.siphoned)
    value, amount, is_energy = cell.BLOCK_VALUE.get(cells), cell.RESOURCE.get(cells), cell.IS_ENERGY.test(cells)
    content = cell.CONTENT.get(cells)
    open_fresh = is_fresh & ~is_block
    # Credits and energy in one number, 16 bits each.
    resources = _over_plus(jnp.where(open_fresh, jnp.where(is_energy, amount << 16, amount), 0))
    # A multiset of points as a number: 3 bits count each of the points 1–9, at most 5 cells.
    is_data = is_fresh & (content == cell.DATA_BLOCK)
    data = _over_plus(jnp.where(is_data, np.uint32(1) << (3 * (value - 1)).astype(jnp.uint32), np.uint32(0)))
    program = np.uint32(1) << value.astype(jnp.uint32)
    is_new = is_fresh & (content == cell.PROGRAM_BLOCK) & ((program & programs[None]) == 0)
    found = _over_plus(jnp.where(is_new, program, np.uint32(0)), lax.bitwise_or)

    here = (np.arange(36, dtype=np.int32)[:, None] == position[None]) & ~is_block

    def at_player(plane: jax.Array) -> jax.Array:
        return total(jnp.where(here, plane, plane.dtype.type(0)))[None]

    my_resources, my_data, my_programs = map(at_player, (resources, data, found))
    credits, energy = (resources & 0xFFFF) - (my_resources & 0xFFFF), (resources >> 16) - (my_resources >> 16)
    must_cover = board.neighbours(occupancy.player) & occupancy.blocks & ~occupancy.siphoned
    covered = _over_plus(board.to_mask(must_cover).astype(jnp.int32)) == board.count(must_cover)[None]
    wants_blocks = (my_data != 0) | (my_programs != 0)
    candidate = ~is_block & (covered | ~wants_blocks)
    better = candidate & (data == my_data) & (found == my_programs)
    better = better & (credits >= 0) & (energy >= 0) & ((credits > 0) | (energy > 0))
    return largest(jnp.where(better, credits, 0)) + largest(jnp.where(better, energy, 0))


def _over_plus(plane: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array] = lax.add) -> jax.Array:
    """Each cell combined with its orthogonal neighbours: (36, N) to (36, N)."""
    games = plane.shape[-1]
    padded = jnp.pad(plane.reshape(6, 6, games), ((1, 1), (1, 1), (0, 0)))
    beside = padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]
    return functools.reduce(combine, beside, padded[1:-1, 1:-1]).reshape(36, games)
