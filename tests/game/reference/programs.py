"""The 23 programs: when they are applicable and what they do (R7, R8).

`effect` returns the number of kills. Costs, the enemy turn after WAIT and the end of a stage are the caller's.
"""

from collections.abc import Callable, Iterable
from random import Random

from .board import (
    Entity,
    Position,
    State,
    around,
    cell_at,
    content_removed,
    has_block,
    located,
    manhattan,
    on_board,
    position,
)
from .tables import CELLS, ENEMY_TYPES, FULL_HP, LAST_STAGE, MAX_HP
from .turn import restore


def on_blocks(state: State) -> list[Entity]:
    return [enemy for enemy in state["enemies"] if has_block(state, position(enemy))]


def in_row(state: State) -> list[Entity]:
    return [enemy for enemy in state["enemies"] if enemy["row"] == state["player"]["row"]]


def in_column(state: State) -> list[Entity]:
    return [enemy for enemy in state["enemies"] if enemy["col"] == state["player"]["col"]]


def on_siphoned(state: State) -> list[Entity]:
    return [enemy for enemy in state["enemies"] if "siphoned" in cell_at(state, position(enemy))]


def of_type(state: State, enemy_type: str) -> list[Entity]:
    return [enemy for enemy in state["enemies"] if enemy["type"] == enemy_type]


def unsiphoned_blocks(state: State) -> list[dict]:
    cells = [cell_at(state, at) for at in CELLS]
    return [cell["block"] for cell in cells if "block" in cell and "siphoned" not in cell]


def crashable(state: State) -> bool:
    entities = state["enemies"] + state["transmissions"]
    return any(has_block(state, at) or located(entities, at) for at in around(position(state["player"])))


def always(state: State) -> bool:
    return True


def any_enemy(state: State) -> bool:
    return bool(state["enemies"])


APPLICABLE: dict[str, Callable[[State], bool]] = {
    "push": any_enemy,
    "pull": any_enemy,
    "crash": crashable,
    "warp": lambda state: bool(state["enemies"] or state["transmissions"]),
    "poly": any_enemy,
    "wait": always,
    "debug": lambda state: bool(on_blocks(state)),
    "row": lambda state: bool(in_row(state)),
    "col": lambda state: bool(in_column(state)),
    "undo": lambda state: bool(state["history"]),
    "step": always,
    "siph+": always,
    "exch": lambda state: state["player"]["credits"] >= 4,
    "show": lambda state: not state["show"],
    "reset": lambda state: state["player"]["hp"] < MAX_HP,
    "calm": lambda state: not state["calm"],
    "d_bom": lambda state: bool(of_type(state, "daemon")),
    "delay": lambda state: bool(state["transmissions"]),
    "anti-v": lambda state: bool(of_type(state, "virus")),
    "score": lambda state: state["stage"] < LAST_STAGE,
    "reduc": lambda state: any(block["spawn"] > 0 for block in unsiphoned_blocks(state)),
    "atk+": lambda state: state["atk_plus_uses"] < 2,
    "hack": lambda state: any("siphoned" in cell_at(state, at) for at in CELLS),
}


def effect(state: State, name: str, rng: Random) -> int:
    """Carry out a program whose cost is paid; the number of kills."""
    player = state["player"]
    match name:
        case "push":
            shove(state, 1)
        case "pull":
            shove(state, -1)
        case "crash":
            return crash(state)
        case "warp":
            return warp(state, rng)
        case "poly":
            return poly(state, rng)
        case "debug":
            return damage(state, on_blocks(state), player["attack"])
        case "row":
            return damage(state, in_row(state), player["attack"])
        case "col":
            return damage(state, in_column(state), player["attack"])
        case "hack":
            return damage(state, on_siphoned(state), player["attack"])
        case "anti-v":
            return damage(state, of_type(state, "virus"), 1)
        case "d_bom":
            return daemon_bomb(state)
        case "undo":
            restore(state)
        case "step" | "show" | "calm":
            state[name] = True
        case "siph+":
            player["data_siphons"] += 1
        case "exch":
            player["energy"] += 4
        case "reset":
            player["hp"] = MAX_HP
        case "delay":
            for transmission in state["transmissions"]:
                transmission["turns"] += 3
        case "score":
            player["score"] += LAST_STAGE - state["stage"]
        case "reduc":
            for block in unsiphoned_blocks(state):
                block["spawn"] = max(0, block["spawn"] - 1)
        case "atk+":
            player["attack"] += 1
            state["atk_plus_uses"] += 1
    return 0


def kill_count(dead: Iterable[Entity]) -> int:
    return sum(not entity["scheduled"] for entity in dead)


def without(entities: list[Entity], gone: list[Entity]) -> list[Entity]:
    """The entities less those that are gone (the very same objects, not equal ones)."""
    return [entity for entity in entities if not any(entity is other for other in gone)]


def damage(state: State, targets: list[Entity], amount: int) -> int:
    """Survivors are stunned, the dead removed; the number of kills."""
    for enemy in targets:
        enemy["hp"] -= amount
    dead = [enemy for enemy in targets if enemy["hp"] <= 0]
    for enemy in without(targets, dead):
        enemy["stunned"] = True
    state["enemies"] = without(state["enemies"], dead)
    return kill_count(dead)


def cleared(state: State, kind: str, at: Position) -> int:
    """Remove all enemies, or all transmissions, on a cell: at most one kill, by the first in the list (R8.2)."""
    gone = located(state[kind], at)
    state[kind] = without(state[kind], gone)
    return kill_count(gone[:1])


def crash(state: State) -> int:
    kills = 0
    for at in around(position(state["player"])):
        if has_block(state, at):
            content_removed(cell_at(state, at))
        kills += cleared(state, "enemies", at) + cleared(state, "transmissions", at)
    return kills


def warp(state: State, rng: Random) -> int:
    kind, index = rng.choice([(kind, i) for kind in ("enemies", "transmissions") for i in range(len(state[kind]))])
    at = position(state[kind][index])
    state["player"]["row"], state["player"]["col"] = at
    return cleared(state, kind, at)


def poly(state: State, rng: Random) -> int:
    for enemy in state["enemies"]:
        old = enemy["type"]
        enemy["type"] = rng.choice([other for other in ENEMY_TYPES if other != old])
        enemy["hp"] += FULL_HP[enemy["type"]] - FULL_HP[old]
    dead = [enemy for enemy in state["enemies"] if enemy["hp"] <= 0]
    state["enemies"] = without(state["enemies"], dead)
    return kill_count(dead)


def daemon_bomb(state: State) -> int:
    player = position(state["player"])
    target = min(of_type(state, "daemon"), key=lambda enemy: manhattan(position(enemy), player))
    state["enemies"] = without(state["enemies"], [target])
    near = around(position(target))
    return kill_count([target]) + damage(state, [enemy for enemy in state["enemies"] if position(enemy) in near], 1)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def shove(state: State, towards: int) -> None:
    """PUSH (1) and PULL (-1), R8.1."""
    player = position(state["player"])
    goals = [shove_goal(position(enemy), player, towards) for enemy in state["enemies"]]
    entered: set[Position] = set()
    for enemy, goal in zip(state["enemies"], goals, strict=True):
        if goal is not None and goal not in entered:
            enemy["row"], enemy["col"] = goal
            entered.add(goal)


def shove_goal(at: Position, player: Position, towards: int) -> Position | None:
    """The cell an enemy is pushed or pulled to, if any."""
    dr, dc = towards * sign(at[0] - player[0]), towards * sign(at[1] - player[1])
    candidates = [(at[0] + dr, at[1] + dc)]
    candidates += [(at[0] + dr, at[1])] if dr else []
    candidates += [(at[0], at[1] + dc)] if dc else []
    candidates = [cell for cell in candidates if on_board(cell) and not (towards < 0 and cell == player)]
    return min(candidates, key=lambda cell: -towards * manhattan(cell, player), default=None)
