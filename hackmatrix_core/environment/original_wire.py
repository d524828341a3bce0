"""The wire of the original: its names for what a state holds, and states as its JSON says them.

An answer's `observation` and its `getInternalState` are written here, and the state of `setState` is read. Both work on
plain integers, the words of a state (`game.cell`, `game.entity`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hackmatrix_core.errors import shown
from hackmatrix_core.game import cell, entity
from hackmatrix_core.game.actions import FIRST_PROGRAM, NUM_ACTIONS, PROGRAM_NAMES, PROGRAMS
from hackmatrix_core.game.entity import ENEMY_NAMES, FULL_HP
from hackmatrix_core.game.packing import word_of
from hackmatrix_core.game.state import BOARD_SIZE, MAX_ENTITIES, NUM_CELLS, NUM_STAGES

ACTION_SPACE = {"actionSpaceSize": NUM_ACTIONS}
OBSERVATION_SPACE = {"playerFeatures": 9, "cellFeatures": 20, "gridSize": BOARD_SIZE}
NO_GAME = {
    "turnCount": 0,
    "scheduledTaskInterval": 0,
    "nextScheduledTaskTurn": 0,
    "pendingSiphonTransmissions": 0,
    "enemies": [],
}
"""The internal state before the first game."""
REWARD_NAMES = {
    "stage_completion": "stage",
    "score_gain": "score",
    "kills": "kills",
    "data_siphon": "dataSiphon",
    "distance_shaping": "distance",
    "damage_penalty": "damagePenalty",
    "hp_recovery": "hpRecovery",
    "victory": "victory",
    "death_penalty": "death",
    "siphon_death_penalty": "siphonDeathPenalty",
    "resource_gain": "resourceGain",
    "resource_holding": "resourceHolding",
    "program_waste": "programWaste",
    "siphon_quality": "siphonQuality",
}
"""The original's names of the reward parts (R10). It tells all but the step penalty."""
FIRST_INTERVAL = 12
"""The schedule's interval and next turn of a state that was set, whatever its stage."""
_MANY = 10**9


def observation(game: Mapping[str, Any], owned: Sequence[int]) -> dict[str, Any]:
    """What `reset`, `step` and `setState` tell of a game.

    Args:
        game: the fields of a state as integers, `cells` and `entities` as lists of words.
        owned: the numbers of the owned programs' actions, in the order in which they came.
    """
    cells = [_cell(index, word) for index, word in enumerate(game["cells"])]
    row, col = divmod(game["position"], BOARD_SIZE)
    shows, hints, seen = game["show"], {}, set()
    for word in game["entities"]:
        kind, at = entity.KIND.of(word), entity.CELL.of(word)
        if kind == entity.NONE:
            break
        if (kind, at) in seen:
            continue
        seen.add((kind, at))
        name, here = ENEMY_NAMES[entity.TYPE.of(word)], cells[at]
        if kind == entity.TRANSMISSION:
            here["transmission"] = {"turnsUntilSpawn": entity.TIMER.of(word)} | ({"enemyType": name} if shows else {})
        elif name != "cryptog" or shows or here["row"] == row or here["col"] == col:
            here["enemy"] = {
                "type": name,
                "hp": entity.HP.of(word),
                "isStunned": bool(entity.STUNNED.of(word)),
                "spawnedFromSiphon": bool(entity.FROM_SIPHON.of(word)),
            }
        else:
            hint_row, hint_col = divmod(entity.SEEN.of(word) - 1, BOARD_SIZE)
            hints[at] = {"row": hint_row, "col": hint_col}
    return {
        "playerRow": row,
        "playerCol": col,
        "playerHP": game["hp"],
        "credits": game["credits"],
        "energy": game["energy"],
        "stage": game["stage"],
        "turn": game["turn"],
        "dataSiphons": game["data_siphons"],
        "baseAttack": game["attack"],
        "score": game["score"],
        "showActivated": bool(shows),
        "scheduledTasksDisabled": bool(game["calm"]),
        "ownedPrograms": list(owned),
        "cryptogHints": [hints[at] for at in sorted(hints)],
        "cells": [cells[start : start + BOARD_SIZE] for start in range(0, NUM_CELLS, BOARD_SIZE)],
    }


def _cell(index: int, word: int) -> dict[str, Any]:
    content = cell.CONTENT.of(word)
    row, col = divmod(index, BOARD_SIZE)
    written: dict[str, Any] = {
        "row": row,
        "col": col,
        "isExit": content == cell.EXIT,
        "isDataSiphon": content == cell.DATA_SIPHON,
        "siphonCenter": bool(cell.SIPHON_CENTER.of(word)),
    }
    is_block, siphoned = content in (cell.DATA_BLOCK, cell.PROGRAM_BLOCK), bool(cell.SIPHONED.of(word))
    if (amount := cell.RESOURCE.of(word)) and (siphoned or not is_block):
        written["energy" if cell.IS_ENERGY.of(word) else "credits"] = amount
    if is_block:
        value, is_data = cell.BLOCK_VALUE.of(word), content == cell.DATA_BLOCK
        block = {"blockType": "question", "isSiphoned": siphoned}
        if not cell.HIDDEN.of(word):
            block |= {
                "blockType": "data" if is_data else "program",
                "points": value if is_data else 0,
                "transmissionSpawnCount": cell.BLOCK_SPAWN.of(word),
            }
            if not is_data:
                block |= {"programType": PROGRAM_NAMES[value], "programActionIndex": value + FIRST_PROGRAM}
        written["block"] = block
    return written


def internal_state(game: Mapping[str, Any]) -> dict[str, Any]:
    """What `getInternalState` tells; `game` as in `observation`."""
    return {
        "turnCount": game["turn"],
        "scheduledTaskInterval": game["interval"],
        "nextScheduledTaskTurn": game["next_turn"],
        "pendingSiphonTransmissions": game["pending_spawns"],
        "enemies": [_enemy(word) for word in game["entities"] if entity.KIND.of(word) == entity.ENEMY],
    }


def _enemy(word: int) -> dict[str, Any]:
    row, col = divmod(entity.CELL.of(word), BOARD_SIZE)
    return {
        "row": row,
        "col": col,
        "type": ENEMY_NAMES[entity.TYPE.of(word)],
        "hp": entity.HP.of(word),
        "disabledTurns": entity.TIMER.of(word),
        "isStunned": bool(entity.STUNNED.of(word)),
        "spawnedFromSiphon": bool(entity.FROM_SIPHON.of(word)),
        "isFromScheduledTask": bool(entity.SCHEDULED.of(word)),
    }


def read_state(given: Any) -> tuple[dict[str, Any], list[int]]:
    """The state that `setState` describes.

    Returns:
        The fields of a state as in `observation`, without a history, and the owned programs' actions in their order.

    Raises:
        TypeError: a key is missing, or a value is of another type than the original expects.
        ValueError: a number out of range; the message names it.
    """
    state = _object(given)
    player = _object(state.get("player"))
    cells = [0] * NUM_CELLS
    for i, block in enumerate(_objects(state, "blocks")):
        cells[_place(block, f"blocks[{i}]")] |= _read_block(block, f"blocks[{i}]")
    for i, resource in enumerate(_objects(state, "resources")):
        at = _place(resource, f"resources[{i}]")
        for name in ("credits", "energy"):
            if amount := _number(resource, name, f"resources[{i}].", 0, 0, cell.RESOURCE.limit):
                kept = cells[at] & ~(cell.RESOURCE.mask | cell.IS_ENERGY.mask)
                cells[at] = kept | word_of((cell.RESOURCE, amount), (cell.IS_ENERGY, name == "energy"))
        if _flag(resource, "dataSiphon"):
            cells[at] = (cells[at] & ~cell.BLOCK) | word_of((cell.CONTENT, cell.DATA_SIPHON))
    cells[-1] = (cells[-1] & ~cell.BLOCK) | word_of((cell.CONTENT, cell.EXIT))

    enemies = [_read_enemy(enemy, f"enemies[{i}]") for i, enemy in enumerate(_objects(state, "enemies"))]
    transmissions = [
        _read_transmission(one, f"transmissions[{i}]") for i, one in enumerate(_objects(state, "transmissions"))
    ]
    words = enemies + transmissions
    if len(words) > MAX_ENTITIES:
        raise ValueError(f"enemies and transmissions are {len(words)} together, expected at most {MAX_ENTITIES}")
    owned = list(dict.fromkeys(_integer(number) for number in _list(state, "ownedPrograms")))
    for number in owned:
        _check(number, "ownedPrograms", FIRST_PROGRAM, NUM_ACTIONS - 1)
    game = {
        "cells": cells,
        "entities": words + [0] * (MAX_ENTITIES - len(words)),
        "position": _place(player, "player"),
        "hp": _number(player, "hp", "player.", 3, 0),
        "credits": _number(player, "credits", "player.", 0, 0),
        "energy": _number(player, "energy", "player.", 0, 0),
        "data_siphons": _number(player, "dataSiphons", "player.", 0, 0),
        "attack": _number(player, "attackDamage", "player.", 1, 0),
        "score": _number(player, "score", "player.", 0, 0),
        "turn": _number(state, "turn", "", 0, 0),
        "programs": sum(1 << (number - FIRST_PROGRAM) for number in owned),
        "show": _flag(state, "showActivated"),
        "calm": _flag(state, "scheduledTasksDisabled"),
        "atk_plus_uses": 0,
        "stage": _number(state, "stage", "", 1, 1, NUM_STAGES),
        "exit": NUM_CELLS - 1,
        "interval": FIRST_INTERVAL,
        "next_turn": FIRST_INTERVAL,
        "pending_spawns": 0,
        "step": False,
    }
    return game, owned


def _read_block(block: dict[str, Any], place: str) -> int:
    kind = _text(block, "type")
    if kind == "data":
        points = _number(block, "points", f"{place}.", 0, 0, 9)
        content, value, spawn = cell.DATA_BLOCK, points, points
    elif kind == "program":
        name, number = block.get("programType"), block.get("programActionIndex")
        if name is None and number is not None:
            value = (
                _check(_integer(number), f"{place}.programActionIndex", FIRST_PROGRAM, NUM_ACTIONS - 1) - FIRST_PROGRAM
            )
        else:
            value = _named(_text(block, "programType"), f"{place}.programType", PROGRAM_NAMES)
        content, spawn = cell.PROGRAM_BLOCK, PROGRAMS[value].spawn
    else:
        raise ValueError(f"{place}.type is {shown(kind)}, expected 'data' or 'program'")
    return word_of(
        (cell.CONTENT, content),
        (cell.BLOCK_VALUE, value),
        (cell.BLOCK_SPAWN, _number(block, "spawnCount", f"{place}.", spawn, 0, cell.BLOCK_SPAWN.limit)),
        (cell.SIPHONED, _flag(block, "siphoned")),
    )


def _read_enemy(enemy: dict[str, Any], place: str) -> int:
    kind = _named(_text(enemy, "type"), f"{place}.type", ENEMY_NAMES)
    return word_of(
        (entity.KIND, entity.ENEMY),
        (entity.TYPE, kind),
        (entity.CELL, _place(enemy, place)),
        (entity.HP, _number(enemy, "hp", f"{place}.", int(FULL_HP[kind]), 1, entity.HP.limit)),
        (entity.STUNNED, _flag(enemy, "stunned")),
        (entity.FROM_SIPHON, _flag(enemy, "spawnedFromSiphon")),
        (entity.SCHEDULED, _flag(enemy, "isFromScheduledTask")),
    )


def _read_transmission(one: dict[str, Any], place: str) -> int:
    return word_of(
        (entity.KIND, entity.TRANSMISSION),
        (entity.TYPE, _named(_text(one, "enemyType"), f"{place}.enemyType", ENEMY_NAMES)),
        (entity.CELL, _place(one, place)),
        (entity.TIMER, _number(one, "turnsRemaining", f"{place}.", 1, 0, entity.TIMER.limit)),
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _list(source: dict[str, Any], name: str) -> list[Any]:
    value = source.get(name)
    if value is not None and not isinstance(value, list):
        raise TypeError
    return value or []


def _objects(source: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [_object(value) for value in _list(source, name)]


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError
    return int(value)


def _number(source: dict[str, Any], name: str, place: str, default: int, low: int, high: int = _MANY) -> int:
    value = source.get(name)
    return default if value is None else _check(_integer(value), f"{place}{name}", low, high)


def _check(value: int, place: str, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(f"{place} is {shown(value)}, expected {low} to {high}")
    return value


def _flag(source: dict[str, Any], name: str) -> bool:
    value = source.get(name)
    if not isinstance(value, bool | None):
        raise TypeError
    return bool(value)


def _text(source: dict[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str):
        raise TypeError
    return value


def _named(value: str, place: str, names: Sequence[str]) -> int:
    if value not in names:
        raise ValueError(f"{place} is {shown(value)}, expected one of {', '.join(names)}")
    return names.index(value)


def _place(source: dict[str, Any], place: str) -> int:
    row, col = (_integer(source.get(name)) for name in ("row", "col"))
    return _check(row, f"{place}.row", 0, BOARD_SIZE - 1) * BOARD_SIZE + _check(col, f"{place}.col", 0, BOARD_SIZE - 1)
