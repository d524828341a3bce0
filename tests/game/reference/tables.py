"""Constants of the game (R1, R3, R4, R7, R10), as plain data."""

from typing import NamedTuple

SIZE = 6
CELLS = [(row, col) for row in range(SIZE) for col in range(SIZE)]
CORNERS = [(0, 0), (0, 5), (5, 0), (5, 5)]
DIRECTIONS = [(1, 0), (-1, 0), (0, -1), (0, 1)]  # up, down, left, right: the order settles every tie (R1.1)
AROUND = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if (dr, dc) != (0, 0)]

MAX_ENTITIES = 36
MAX_HP = 3
LAST_STAGE = 8
SPAWN_DRAWS = 100  # of one search for a cell (R6.4)
SIPHON = 4
FIRST_PROGRAM = 5

FULL_HP = {"virus": 2, "daemon": 3, "glitch": 2, "cryptog": 2}
ENEMY_TYPES = list(FULL_HP)

STAGE_REWARDS = [1, 2, 4, 8, 16, 32, 64, 100]  # the last one counts in the death penalty only
REWARD_PARTS = [
    "step_penalty",
    "stage_completion",
    "score_gain",
    "kills",
    "data_siphon",
    "distance_shaping",
    "damage_penalty",
    "hp_recovery",
    "victory",
    "death_penalty",
    "siphon_death_penalty",
    "resource_gain",
    "resource_holding",
    "program_waste",
    "siphon_quality",
]


class Program(NamedTuple):
    """A row of the table in R7; `spawn` is the spawn count of a block that holds the program."""

    credits: int
    energy: int
    spawn: int


PROGRAMS = {
    "push": Program(0, 2, 4),
    "pull": Program(0, 2, 4),
    "crash": Program(3, 2, 6),
    "warp": Program(2, 2, 5),
    "poly": Program(1, 1, 3),
    "wait": Program(0, 1, 1),
    "debug": Program(3, 0, 4),
    "row": Program(3, 1, 2),
    "col": Program(3, 1, 2),
    "undo": Program(1, 0, 3),
    "step": Program(0, 3, 4),
    "siph+": Program(5, 0, 7),
    "exch": Program(4, 0, 3),
    "show": Program(2, 0, 2),
    "reset": Program(0, 4, 2),
    "calm": Program(2, 4, 6),
    "d_bom": Program(3, 0, 4),
    "delay": Program(1, 2, 4),
    "anti-v": Program(3, 0, 4),
    "score": Program(0, 5, 5),
    "reduc": Program(2, 1, 3),
    "atk+": Program(4, 4, 8),
    "hack": Program(2, 2, 4),
}
PROGRAM_NAMES = list(PROGRAMS)
NUM_ACTIONS = FIRST_PROGRAM + len(PROGRAMS)
