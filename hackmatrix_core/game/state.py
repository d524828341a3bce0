"""The state of a game, and its sizes (R1)."""

import dataclasses
from typing import Any

import jax

from hackmatrix_core.display import draw

BOARD_SIZE = 6
NUM_CELLS = BOARD_SIZE * BOARD_SIZE
NUM_STAGES = 8
MAX_HP = 3
MAX_ENTITIES = 36
"""Room for enemies and transmissions together (R1.7)."""
DEFAULT_UNDO_DEPTH = 64
"""Snapshots kept for UNDO (R8.3), unless a caller wants another number."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What UNDO brings back (R8.3).

    Entities are the enemies in list order, then the transmissions in list order, then free slots (R1.7).
    """

    cells: jax.Array  # (36,) uint32, packed words with the fields of `cell`; row by row
    entities: jax.Array  # (36,) uint32, packed words with the fields of `entity`
    position: jax.Array  # () int32, the player's cell, 0–35
    hp: jax.Array  # () int32, 0–3
    credits: jax.Array  # () int32
    energy: jax.Array  # () int32
    data_siphons: jax.Array  # () int32
    attack: jax.Array  # () int32
    score: jax.Array  # () int32
    turn: jax.Array  # () int32, enemy turns in this stage
    programs: jax.Array  # () uint32, bit i: program i of R7 is owned
    show: jax.Array  # () bool
    calm: jax.Array  # () bool
    atk_plus_uses: jax.Array  # () int32, 0–2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class GameState(Snapshot):
    """The state of one game (R1): a pytree of arrays, in the canonical form that `scenario.to_dict` exports.

    Shapes are those of one game; a batch has a leading axis, as `jax.vmap` lays it out.
    """

    stage: jax.Array  # () int32, 1–8
    exit: jax.Array  # () int32, the exit position 0–35, kept in addition to the exit cell (R1.8)
    interval: jax.Array  # () int32, of the schedule (R6.3)
    next_turn: jax.Array  # () int32, of the schedule
    pending_spawns: jax.Array  # () int32
    step: jax.Array  # () bool, the flag of the program STEP
    # (D, 84) uint32 with D the undo depth: a ring of snapshots packed by `history.pack`; rows that hold none are 0.
    # Within the rules the newest snapshot alone, (84,), or `SET_ASIDE`.
    history: jax.Array
    history_start: jax.Array  # () int32, the row of the oldest snapshot, which is its turn modulo D; 0 without any
    history_length: jax.Array  # () int32, 0–D

    @property
    def undo_depth(self) -> int:
        """How many snapshots the history has room for (R8.3)."""
        return self.history.shape[-2]

    def __repr__(self) -> str:
        return draw(self, "repr") or super().__repr__()

    def _repr_html_(self) -> str | None:
        return draw(self, "html")


SET_ASIDE: Any = None
"""Stands in for a state's history where the rules do without it: it adds no array to the pytree."""
