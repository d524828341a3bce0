"""What several rules ask of one state, computed once: where the blocks, the enemies and the transmissions are."""

from typing import NamedTuple

import jax

from hackmatrix_core.game import board, cell, entity


class Occupancy(NamedTuple):
    """Sets of cells (bitboards (2, N)) and the entities' fields (36, N), for N games."""

    player: jax.Array  # (2, N) uint32, the player's cell
    blocks: jax.Array  # (2, N) uint32
    siphoned: jax.Array  # (2, N) uint32
    enemies: jax.Array  # (2, N) uint32
    transmissions: jax.Array  # (2, N) uint32
    is_enemy: jax.Array  # (36, N) bool
    is_transmission: jax.Array  # (36, N) bool
    cell: jax.Array  # (36, N) int32, of each entity
    type: jax.Array  # (36, N) int32


def occupancy_of(cells: jax.Array, entities: jax.Array, position: jax.Array) -> Occupancy:
    """The occupancy of N games by their arrays: (36, N), (36, N) and (N,)."""
    kind, where = entity.KIND.get(entities), entity.CELL.get(entities)
    is_enemy, is_transmission = kind == entity.ENEMY, kind == entity.TRANSMISSION
    return Occupancy(
        player=board.bit(position),
        blocks=board.blocks(cells),
        siphoned=board.from_mask(cell.SIPHONED.test(cells)),
        enemies=board.union(where, is_enemy),
        transmissions=board.union(where, is_transmission),
        is_enemy=is_enemy,
        is_transmission=is_transmission,
        cell=where,
        type=entity.TYPE.get(entities),
    )
