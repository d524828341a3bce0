"""New games, stage generation and spawning (R2, R3, R6.4)."""

from random import Random
from typing import Any

from .board import Position, State, cell_at, has_block, neighbours, position, positions
from .tables import CELLS, CORNERS, ENEMY_TYPES, LAST_STAGE, MAX_ENTITIES, MAX_HP, PROGRAM_NAMES, PROGRAMS, SPAWN_DRAWS


def reset(rng: Random) -> State:
    """A new game (R2)."""
    row, col = rng.choice(CORNERS)
    player = {"row": row, "col": col, "hp": 3, "credits": 0, "energy": 0, "data_siphons": 0, "attack": 1, "score": 0}
    bonus, amount = rng.choice([("credits", 10), ("energy", 11), ("data_siphons", 1)])
    player[bonus] = amount
    state = {
        "stage": 1,
        "turn": 0,
        "player": player,
        "exit": [0, 0],
        "cells": [],
        "enemies": [],
        "transmissions": [],
        "programs": [],
        "show": False,
        "calm": False,
        "step": False,
        "atk_plus_uses": 0,
        "schedule": {"interval": 12, "next_turn": 12},
        "pending_spawns": 0,
        "history": [],
    }
    generate_stage(state, rng)
    return state


def complete_stage(state: State, rng: Random) -> bool:
    """The player has reached the exit (R9). True if that wins the game."""
    state["player"]["hp"] = min(MAX_HP, state["player"]["hp"] + 1)
    if state["stage"] == LAST_STAGE:
        return True
    state["stage"] += 1
    state["schedule"]["interval"] = 13 - state["stage"]
    generate_stage(state, rng)
    return False


def generate_stage(state: State, rng: Random) -> None:
    """A fresh board for the stage that the state is at (R3)."""
    state["turn"] = 0
    state["schedule"]["next_turn"] = state["schedule"]["interval"]
    state["show"] = state["calm"] = state["step"] = False
    state["atk_plus_uses"] = 0
    state["cells"] = [[{} for _ in range(6)] for _ in range(6)]

    others = [corner for corner in CORNERS if corner != position(state["player"])]
    exit_at = rng.choice(others)
    state["exit"] = list(exit_at)
    for corner in others:
        cell_at(state, corner)["exit" if corner == exit_at else "data_siphon"] = True

    place_blocks(state, exit_at, rng)
    for row in state["cells"]:
        for cell in row:
            if "block" not in cell and "exit" not in cell:
                amount = rng.choice([1] * 9 + [2] * 9 + [3] * 2)
                cell[rng.choice(["credits", "energy"])] = amount
    for _ in range(state["stage"]):
        spawn(state, rng)


def place_blocks(state: State, exit_at: Position, rng: Random) -> None:
    """R3.3."""
    taken = positions(state["enemies"] + state["transmissions"])
    places = [at for at in CELLS if at not in CORNERS and at not in taken]
    count = min(rng.choice(range(5, 12)), len(places))
    for _ in range(100):
        layout = rng.sample(places, count)
        if layout_accepted(set(layout), exit_at):
            break
    else:
        return
    unused = list(PROGRAM_NAMES)
    for at in layout:
        cell_at(state, at)["block"] = random_block(unused, rng)


def layout_accepted(blocks: set[Position], exit_at: Position) -> bool:
    """Every block has a non-block neighbour, and a flood from (0, 0) reaches all else without passing the exit."""
    if any(blocks.issuperset(neighbours(at)) for at in blocks):
        return False
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        for at in neighbours(waiting.pop()):
            if at not in blocks and at not in reached:
                reached.add(at)
                if at != exit_at:
                    waiting.append(at)
    return len(reached) + len(blocks) == len(CELLS)


def random_block(unused: list[str], rng: Random) -> dict[str, Any]:
    """One block; the program it holds is taken out of `unused`."""
    kind = rng.choice(["data", "program"])
    hidden = rng.choice(range(10)) == 0
    if kind == "data":
        points = rng.choice(range(1, 10))
        return {"kind": "data", "points": points, "spawn": points, "hidden": hidden}
    program = rng.choice(unused)
    unused.remove(program)
    return {"kind": "program", "program": program, "spawn": PROGRAMS[program].spawn, "hidden": hidden}


def spawn(state: State, rng: Random, *, from_siphon: bool = False, scheduled: bool = False) -> None:
    """One transmission on a random open cell, out of the player's line of fire if possible (R6.4)."""
    entities = state["enemies"] + state["transmissions"]
    taken = positions(entities) | {position(state["player"])}
    open_cells = [at for at in CELLS if at not in taken and not has_block(state, at)]
    safe = [at for at in open_cells if not in_line_of_fire(state, at)]
    if len(entities) >= MAX_ENTITIES:
        return
    found = search(safe, rng) or search(open_cells, rng)
    if found is None:
        return
    row, col = found
    state["transmissions"].append(
        {
            "type": rng.choice(ENEMY_TYPES),
            "row": row,
            "col": col,
            "turns": 1,
            "from_siphon": from_siphon,
            "scheduled": scheduled,
        }
    )


def search(cells: list[Position], rng: Random) -> Position | None:
    """One of the cells, or none: the original draws from the whole board until it hits one, but 100 times at most."""
    missed = (1 - len(cells) / len(CELLS)) ** SPAWN_DRAWS
    is_found = rng.choices([True, False], [1 - missed, missed])[0]
    return rng.choice(cells) if is_found else None


def in_line_of_fire(state: State, at: Position) -> bool:
    """Same row or column as the player, with no block and no enemy strictly between."""
    player = position(state["player"])
    if player[0] != at[0] and player[1] != at[1]:
        return False
    low, high = min(player, at), max(player, at)
    between = [
        (row, col)
        for row in range(low[0], high[0] + 1)
        for col in range(low[1], high[1] + 1)
        if (row, col) not in (player, at)
    ]
    enemies = positions(state["enemies"])
    return not any(has_block(state, cell) or cell in enemies for cell in between)
