"""The 28 actions by number, and the table of the programs (R4, R7)."""

from typing import NamedTuple

import numpy as np

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
CREDITS = np.array([program.credits for program in PROGRAMS], np.int32)
ENERGY = np.array([program.energy for program in PROGRAMS], np.int32)
SPAWNS = np.array([program.spawn for program in PROGRAMS], np.int32)
"""(23,) the columns of the table."""

FIRST_PROGRAM = 5
ACTION_NAMES = ("up", "down", "left", "right", "siphon", *PROGRAM_NAMES)
NUM_ACTIONS = len(ACTION_NAMES)
(
    PUSH, PULL, CRASH, WARP, POLY, WAIT, DEBUG, ROW, COL, UNDO, STEP, SIPH_PLUS, EXCH, SHOW, RESET, CALM, D_BOM, DELAY,
    ANTI_V, SCORE, REDUC, ATK_PLUS, HACK,
) = range(FIRST_PROGRAM, NUM_ACTIONS)  # fmt: skip


def set_of(*numbers: int) -> np.uint32:
    """Some actions as a set: bit i is action i."""
    return np.uint32(sum(1 << number for number in numbers))
