"""The state of a game: constants, tables and packed words (R1, the tables of R1.5 and R7).

A cell and an entity are one `uint32` word each. A `Field` names the bits of one property in such a word. Packing keeps
the state small (memory traffic is most of what a step costs) and lets a loop carry one array instead of eight.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hackmatrix_core.display import draw

BOARD_SIZE = 6
NUM_CELLS = BOARD_SIZE * BOARD_SIZE
NUM_STAGES = 8
MAX_HP = 3
MAX_ENTITIES = 36
"""Room for enemies and transmissions together (R1.7)."""
DEFAULT_UNDO_DEPTH = 64
"""Snapshots kept for UNDO (R8.3), unless a caller wants another number."""

UP, DOWN, LEFT, RIGHT, SIPHON = range(5)
DIRECTIONS = np.array([[1, 0], [-1, 0], [0, -1], [0, 1]], np.int32)
"""(4, 2) row and column step of the directions, in the order that settles every tie (R1.1)."""


class Program(NamedTuple):
    """One line of the table of R7: costs in credits and energy, spawn count of a block that holds the program."""

    name: str
    credits: int
    energy: int
    spawn: int


PROGRAMS = (
    Program("push", 0, 2, 4),
    Program("pull", 0, 2, 4),
    Program("crash", 3, 2, 6),
    Program("warp", 2, 2, 5),
    Program("poly", 1, 1, 3),
    Program("wait", 0, 1, 1),
    Program("debug", 3, 0, 4),
    Program("row", 3, 1, 2),
    Program("col", 3, 1, 2),
    Program("undo", 1, 0, 3),
    Program("step", 0, 3, 4),
    Program("siph+", 5, 0, 7),
    Program("exch", 4, 0, 3),
    Program("show", 2, 0, 2),
    Program("reset", 0, 4, 2),
    Program("calm", 2, 4, 6),
    Program("d_bom", 3, 0, 4),
    Program("delay", 1, 2, 4),
    Program("anti-v", 3, 0, 4),
    Program("score", 0, 5, 5),
    Program("reduc", 2, 1, 3),
    Program("atk+", 4, 4, 8),
    Program("hack", 2, 2, 4),
)
NUM_PROGRAMS = len(PROGRAMS)
PROGRAM_NAMES = tuple(program.name for program in PROGRAMS)
FIRST_PROGRAM_ACTION = 5
ACTION_NAMES = ("up", "down", "left", "right", "siphon", *PROGRAM_NAMES)
NUM_ACTIONS = len(ACTION_NAMES)
(
    PUSH, PULL, CRASH, WARP, POLY, WAIT, DEBUG, ROW, COL, UNDO, STEP, SIPH_PLUS, EXCH, SHOW, RESET, CALM, D_BOM, DELAY,
    ANTI_V, SCORE, REDUC, ATK_PLUS, HACK,
) = range(FIRST_PROGRAM_ACTION, NUM_ACTIONS)  # fmt: skip

VIRUS, DAEMON, GLITCH, CRYPTOG = range(4)
ENEMY_NAMES = ("virus", "daemon", "glitch", "cryptog")
FULL_HP = np.array([2, 3, 2, 2], np.int32)
"""(4,) full hp by enemy type (R1.5)."""


class Field(NamedTuple):
    """A property's bits in a packed `uint32` word."""

    shift: int
    width: int

    @property
    def limit(self) -> int:
        """The largest value that the field holds."""
        return (1 << self.width) - 1

    @property
    def mask(self) -> int:
        """The field's bits, set."""
        return self.limit << self.shift

    def get(self, word: jax.Array) -> jax.Array:
        """The field of each word, int32 of the same shape."""
        return ((word >> self.shift) & self.limit).astype(jnp.int32)

    def test(self, word: jax.Array) -> jax.Array:
        """Whether the field is not 0, bool of the same shape."""
        return (word & np.uint32(self.mask)) != 0

    def put(self, value: jax.Array) -> jax.Array:
        """A word that is 0 except for this field; `value` int32 or bool, in the field's range."""
        return value.astype(jnp.uint32) << self.shift

    def replace(self, word: jax.Array, value: jax.Array) -> jax.Array:
        """The words with the field set to `value`."""
        return (word & ~np.uint32(self.mask)) | self.put(value)


# A cell (R1.2, R1.3).
CONTENT = Field(0, 3)
EMPTY, DATA_BLOCK, PROGRAM_BLOCK, DATA_SIPHON, EXIT = range(5)
BLOCK_VALUE = Field(3, 5)  # points 1–9, or the index of the program, 0–22
BLOCK_SPAWN = Field(8, 4)
HIDDEN = Field(12, 1)
BLOCK = CONTENT.mask | BLOCK_VALUE.mask | BLOCK_SPAWN.mask | HIDDEN.mask
"""All bits that belong to the content: cleared together when it becomes empty."""
SIPHONED = Field(13, 1)
SIPHON_CENTER = Field(14, 1)
IS_ENERGY = Field(15, 1)
RESOURCE = Field(16, 8)  # amount of credits or energy, 0 for none

# An entity (R1.5, R1.6). A free slot is the word 0.
KIND = Field(0, 2)
NO_ENTITY, TRANSMISSION, ENEMY = range(3)
TYPE = Field(2, 2)
CELL = Field(4, 6)  # row × 6 + col
HP = Field(10, 2)
STUNNED = Field(12, 1)
FROM_SIPHON = Field(13, 1)
SCHEDULED = Field(14, 1)
TIMER = Field(16, 16)  # an enemy's disabled turns, a transmission's turns left


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What UNDO brings back (R8.3).

    Entities are the enemies in list order, then the transmissions in list order, then free slots (R1.7).
    """

    cells: (
        jax.Array
    )  # (36,) uint32, packed: CONTENT, BLOCK_VALUE, BLOCK_SPAWN, HIDDEN, SIPHONED, …; cell = row × 6 + col
    entities: jax.Array  # (36,) uint32, packed: KIND, TYPE, CELL, HP, STUNNED, FROM_SIPHON, SCHEDULED, TIMER
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
SNAPSHOT_FIELDS = tuple(field.name for field in dataclasses.fields(Snapshot))
REMEMBERED_ENTITY_BITS = np.uint32(0xFFFFFFFF & ~(FROM_SIPHON.mask | SCHEDULED.mask))
"""What the history keeps of an entity (R8.3)."""
