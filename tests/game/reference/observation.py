"""What the agent sees (R11)."""

import numpy as np

from .board import Position, State, located, position
from .tables import ENEMY_TYPES, PROGRAM_NAMES

CELL_VALUES = 42


def observe(state: State) -> np.ndarray:
    """The observation, float32 of shape (1545,)."""
    player = state["player"]
    values = [
        player["row"] / 5,
        player["col"] / 5,
        player["hp"] / 3,
        min(player["credits"] / 50, 1),
        min(player["energy"] / 50, 1),
        (state["stage"] - 1) / 7,
        player["data_siphons"] / 10,
        (player["attack"] - 1) / 2,
        state["show"],
        state["calm"],
    ]
    values += [name in state["programs"] for name in PROGRAM_NAMES]
    for row in range(6):
        for col in range(6):
            values += observe_cell(state, (row, col))
    return np.array(values, dtype=np.float32)


def observe_cell(state: State, at: Position) -> list[float]:
    """The 42 values of one cell."""
    cell = state["cells"][at[0]][at[1]]
    values = [0.0] * CELL_VALUES
    enemy = next(iter(located(state["enemies"], at)), None)
    player_row, player_col = position(state["player"])
    in_view = state["show"] or at[0] == player_row or at[1] == player_col
    if enemy and (enemy["type"] != "cryptog" or in_view):
        values[ENEMY_TYPES.index(enemy["type"])] = 1
        values[4:7] = [enemy["hp"] / 3, enemy["stunned"], enemy["from_siphon"]]
    block = cell.get("block")
    siphoned = "siphoned" in cell
    if block:
        values[9] = block["hidden"]
        values[11] = siphoned
        if not block["hidden"]:
            if block["kind"] == "data":
                values[7] = 1
                values[10] = block["points"] / 9
            else:
                values[8] = 1
                values[12 + PROGRAM_NAMES.index(block["program"])] = 1
            values[35] = block["spawn"] / 9
    transmission = next(iter(located(state["transmissions"], at)), None)
    if transmission:
        values[36] = min(transmission["turns"] / 4, 1)
    if not block or siphoned:
        values[37] = cell.get("credits", 0) / 3
        values[38] = cell.get("energy", 0) / 3
    values[39:42] = ["data_siphon" in cell, "exit" in cell, "siphon_center" in cell]
    return values
