"""The wire of the original: its names for what a state holds, and states as its JSON says them.

Commands and the states of `setState` are read here, and the answers that tell of a game are written, from plain
integers: the fields of a state, and its words by `game.cell` and `game.entity`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hackmatrix_core.game import cell, entity, history
from hackmatrix_core.game.actions import FIRST_PROGRAM, NUM_ACTIONS, PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.packing import Field, word_of
from hackmatrix_core.game.scenario.reading import MANY
from hackmatrix_core.game.stage import first_interval
from hackmatrix_core.game.state import BOARD_SIZE, MAX_ENTITIES, MAX_HP, NUM_CELLS, NUM_STAGES, GameState

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
_AT = {"row": int, "col": int}
_PLAYER = _AT | dict.fromkeys(("hp?", "credits?", "energy?", "dataSiphons?", "attackDamage?", "score?"), int)
_ENEMY = {"type": str, **_AT, "hp": int, "stunned?": bool, "spawnedFromSiphon?": bool, "isFromScheduledTask?": bool}
_BLOCK = {"type": str, **_AT, "points?": int, "spawnCount?": int, "siphoned?": bool, "programType?": str}
_STATE = {
    "player": _PLAYER,
    "enemies?": [_ENEMY],
    "transmissions?": [{"enemyType": str, **_AT, "turnsRemaining": int}],
    "blocks?": [_BLOCK | {"programActionIndex?": int}],
    "resources?": [{**_AT, "credits?": int, "energy?": int, "dataSiphon?": bool}],
    "ownedPrograms?": [int],
    "stage?": int,
    "turn?": int,
    "showActivated?": bool,
    "scheduledTasksDisabled?": bool,
}
_COMMAND = {"action": str, "actionIndex?": int, "state?": _STATE}
"""The keys and types of a command; those with a question mark may be missing or null, others are not looked at."""
_OTHER_NAMES = {
    **{"siphplus": "siph+", "siph_plus": "siph+", "dbom": "d_bom", "d_bomb": "d_bom", "antiv": "anti-v"},
    **{"anti_v": "anti-v", "atkplus": "atk+", "atk_plus": "atk+"},
}


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


def reward(value: float) -> float | int:
    """A reward or a part of it, as the original writes it: a multiple of 0.005, a whole number without a point."""
    value = round(value, 3)
    return int(value) if value == int(value) else value


class NotUnderstood(ValueError):
    """A command that gets an error for an answer; the message is that of the answer."""


class Command(NamedTuple):
    """One line from the client."""

    action: str
    action_index: int | None
    state: dict[str, Any] | None  # with all keys that `setState` knows, None where one was left out


def read_command(line: str) -> Command:
    """The command in one line.

    Raises:
        NotUnderstood: it is no JSON object, or a key is missing or of the wrong type.
    """
    try:
        return Command(*_typed(json.loads(line, parse_constant=_refuse), _COMMAND).values())
    except (ValueError, RecursionError):
        raise NotUnderstood("Invalid command") from None


def _typed(value: Any, kind: Any) -> Any:
    """The value, if it is of this kind: a type, a list of one kind, or the kinds of an object's keys."""
    if isinstance(kind, dict) and isinstance(value, dict):
        typed = {}
        for key, inner in kind.items():
            name = key.removesuffix("?")
            is_left_out = value.get(name) is None and name != key
            typed[name] = None if is_left_out else _typed(value.get(name), inner)
        return typed
    if isinstance(kind, list) and isinstance(value, list):
        return [_typed(inner, kind[0]) for inner in value]
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise ValueError
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_state(given: Mapping[str, Any], undo_depth: int) -> tuple[GameState, list[int]]:
    """The state that `setState` asks for, its arrays numpy's.

    What is left out has the original's defaults; what the original passes over (an unknown type, a block off the board)
    is passed over here.

    Args:
        given: the state of a `Command`.
        undo_depth: of the state; it has no snapshots.

    Returns:
        The state, and the actions of the owned programs in their order.

    Raises:
        NotUnderstood: a number that no state can hold; the message names it.
    """
    cells = [0] * NUM_CELLS
    for i, block in enumerate(given["blocks"] or ()):
        if (at := _index(block)) is not None:
            cells[at] = _with_block(cells[at], block, f"blocks[{i}]")
    for i, resource in enumerate(given["resources"] or ()):
        if (at := _index(resource)) is not None:
            cells[at] = _with_resource(cells[at], resource, f"resources[{i}]")
    cells[-1] = _with_content(cells[-1], (cell.CONTENT, cell.EXIT))

    entities = [
        _entity(one, f"{group}[{i}]", name)
        for group, name in (("enemies", "type"), ("transmissions", "enemyType"))
        for i, one in enumerate(given[group] or ())
        if one[name].lower() in ENEMY_NAMES
    ]
    if len(entities) > MAX_ENTITIES:
        raise NotUnderstood(f"there are {len(entities)} enemies and transmissions, expected at most {MAX_ENTITIES}")
    owned = [number for number in given["ownedPrograms"] or () if FIRST_PROGRAM <= number < NUM_ACTIONS]
    player, interval = given["player"], first_interval(1)  # whatever the stage

    def number(source: Mapping[str, Any], name: str, default: int, low: int = -MANY, high: int = MANY) -> np.int32:
        value = source[name]
        return np.int32(default if value is None else _checked(value, name, low, high))

    hp = player["hp"]
    arrays: dict[str, Any] = {
        "cells": np.array(cells, np.uint32),
        "entities": np.array(entities + [0] * (MAX_ENTITIES - len(entities)), np.uint32),
        "position": np.int32(_on_board(player, "player")),
        "hp": np.int32(hp if hp in range(MAX_HP + 1) else MAX_HP),
        "credits": number(player, "credits", 0),
        "energy": number(player, "energy", 0),
        "data_siphons": number(player, "dataSiphons", 0),
        "attack": number(player, "attackDamage", 1),
        "score": number(player, "score", 0),
        "turn": number(given, "turn", 0, low=0),
        "programs": np.uint32(sum(1 << (action - FIRST_PROGRAM) for action in set(owned))),
        "show": np.bool_(given["showActivated"] or False),
        "calm": np.bool_(given["scheduledTasksDisabled"] or False),
        "step": np.bool_(False),
        "stage": number(given, "stage", 1, 1, NUM_STAGES),
        "exit": np.int32(NUM_CELLS - 1),
        "interval": np.int32(interval),
        "next_turn": np.int32(interval),
        **dict.fromkeys(("atk_plus_uses", "pending_spawns"), np.int32(0)),
    }
    return GameState(**arrays, **history.from_snapshots([], undo_depth)), owned  # type: ignore[arg-type]


def _with_block(word: int, block: Mapping[str, Any], place: str) -> int:
    """The cell's word with a block, by the original's defaults."""
    name = (block["programType"] or "").lower()
    name = _OTHER_NAMES.get(name, name)
    if block["type"] == "data":
        content, value = cell.DATA_BLOCK, 5 if block["points"] is None else block["points"]
        spawn = _checked(value, f"{place}.points", 0, cell.BLOCK_VALUE.limit)
    elif block["type"] == "program" and name in PROGRAM_NAMES:
        content, value, spawn = cell.PROGRAM_BLOCK, PROGRAM_NAMES.index(name), 2
    else:
        content = cell.EMPTY
    if content != cell.EMPTY:
        spawn = spawn if block["spawnCount"] is None else block["spawnCount"]
        spawn = _checked(spawn, f"{place}.spawnCount", 0, cell.BLOCK_SPAWN.limit)
        word = _with_content(word, (cell.CONTENT, content), (cell.BLOCK_VALUE, value), (cell.BLOCK_SPAWN, spawn))
    return word | word_of((cell.SIPHONED, block["siphoned"] or 0))


def _with_resource(word: int, resource: Mapping[str, Any], place: str) -> int:
    if resource["dataSiphon"]:
        return _with_content(word, (cell.CONTENT, cell.DATA_SIPHON))
    for name in ("credits", "energy"):
        if (amount := resource[name] or 0) > 0:
            _checked(amount, f"{place}.{name}", 1, cell.RESOURCE.limit)
            word &= ~(cell.RESOURCE.mask | cell.IS_ENERGY.mask)
            return word | word_of((cell.RESOURCE, amount), (cell.IS_ENERGY, name == "energy"))
    return word


def _with_content(word: int, *fields: tuple[Field, int]) -> int:
    return (word & ~cell.BLOCK) | word_of(*fields)


def _entity(one: Mapping[str, Any], place: str, type_name: str) -> int:
    fields = [(entity.TYPE, ENEMY_NAMES.index(one[type_name].lower())), (entity.CELL, _on_board(one, place))]
    if type_name == "enemyType":
        turns = _checked(one["turnsRemaining"], f"{place}.turnsRemaining", 0, entity.TIMER.limit)
        return word_of(*fields, (entity.KIND, entity.TRANSMISSION), (entity.TIMER, turns))
    return word_of(
        *fields,
        (entity.KIND, entity.ENEMY),
        (entity.HP, _checked(one["hp"], f"{place}.hp", 1, entity.HP.limit)),
        (entity.STUNNED, one["stunned"] or 0),
        (entity.FROM_SIPHON, one["spawnedFromSiphon"] or 0),
        (entity.SCHEDULED, one["isFromScheduledTask"] or 0),
    )


def _index(source: Mapping[str, Any]) -> int | None:
    """The index of the cell at `row` and `col`, None off the board."""
    row, col = source["row"], source["col"]
    return row * BOARD_SIZE + col if 0 <= row < BOARD_SIZE and 0 <= col < BOARD_SIZE else None


def _on_board(source: Mapping[str, Any], place: str) -> int:
    if (index := _index(source)) is None:
        last = BOARD_SIZE - 1
        raise NotUnderstood(f"{place} is at row {source['row']}, col {source['col']}, expected 0 to {last} for both")
    return index


def _checked(value: int, place: str, low: int, high: int) -> int:
    if not low <= value <= high:
        raise NotUnderstood(f"{place} is {value}, expected {low} to {high}")
    return value
