"""What the original tells of a game, as the arrays of this package."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hackmatrix_core.environment.original.wire import REWARD_NAMES
from hackmatrix_core.game import cell, entity
from hackmatrix_core.game.actions import FIRST_PROGRAM, PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.observation import CELL_VALUES, CHANNEL_NAMES, OBSERVATION_SIZE, PLAYER_NAMES
from hackmatrix_core.game.packing import word_of
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import BOARD_SIZE, NUM_CELLS

_CHANNEL = {name: i for i, name in enumerate(CHANNEL_NAMES)}
_FIRST_CELL = OBSERVATION_SIZE - NUM_CELLS * CELL_VALUES
_PLAYER = {  # by the names of R11
    "row": "playerRow",
    "col": "playerCol",
    "hp": "playerHP",
    "credits": "credits",
    "energy": "energy",
    "stage": "stage",
    "data_siphons": "dataSiphons",
    "attack": "baseAttack",
    "show": "showActivated",
    "calm": "scheduledTasksDisabled",
}
_FROM_ONE = ("stage", "attack")
_NUMBERS = ("hp", "credits", "energy", "data_siphons", "attack", "stage", "show", "calm")


class Told(NamedTuple):
    """What the original tells of a state."""

    compact: np.ndarray  # uint8 (1545,), the observation (R11) as `observation.compact` has it
    cells: np.ndarray  # uint32 (36,), packed; of a hidden block that it is one, and `SIPHONED` only of blocks
    numbers: dict[str, int]  # of a `GameState`, by the names of its fields
    enemies: list[int]  # packed, in list order; without the internal state those in sight, in any order
    is_complete: bool  # with the internal state
    transmissions: dict[int, tuple[int, int | None]]  # turns left and type, where that is shown, by cell


class Step(NamedTuple):
    """What the original tells of an action."""

    reward: float
    reward_parts: dict[str, float]  # by the names of R10
    terminated: bool
    completed: bool  # a stage, also with a win
    won: bool
    died: bool


def read_step(answer: Mapping[str, Any]) -> Step:
    """What the answer to a step tells besides the observation.

    Raises:
        KeyError, TypeError, ValueError: something is missing in it, or is not what it should be.
    """
    ended, reward, info = bool(answer["done"]), float(answer["reward"]), answer["info"]
    if info.get("invalid_action"):
        raise ValueError("the action is not valid, but it was among the valid ones")
    told = info["reward_breakdown"]
    parts = {ours: float(told[theirs]) for ours, theirs in REWARD_NAMES.items()}
    parts = {"step_penalty": round(reward - sum(parts.values()), 6)} | parts
    died, completed = bool(info.get("death")), bool(info.get("stage_complete"))
    return Step(reward, {name: parts[name] for name in REWARD_PARTS}, ended, completed, completed and ended, died)


def read(observation: Mapping[str, Any], internal: Mapping[str, Any] | None) -> Told:
    """What the observation and the internal state tell; without the latter, enemies are those in the observation.

    Raises:
        KeyError, TypeError, ValueError: something is missing in them, or is not what it should be.
    """
    compact = np.zeros(OBSERVATION_SIZE, np.uint8)
    of_cells = [[0] * CELL_VALUES for _ in range(NUM_CELLS)]
    player = {name: int(observation[told]) for name, told in _PLAYER.items()}
    shown = {name: value - (name in _FROM_ONE) for name, value in player.items()}
    shown |= {name: min(shown[name], 50) for name in ("credits", "energy")}
    compact[: len(PLAYER_NAMES)] = [min(shown[name], 255) for name in PLAYER_NAMES]
    owned = np.array(observation["ownedPrograms"], int) - FIRST_PROGRAM
    compact[len(PLAYER_NAMES) + owned] = 1

    cells, enemies, transmissions = [], [], {}
    contents = [content for row in observation["cells"] for content in row]
    for place, (content, values) in enumerate(zip(contents, of_cells, strict=True)):
        word, shown = _read_ground(content)
        cells.append(word)
        if enemy := content.get("enemy"):
            enemies.append(_enemy_word(enemy, place))
            shown |= {enemy["type"]: 1, "hp": enemy["hp"], "stunned": enemy["isStunned"]}
            shown["from_siphon"] = enemy["spawnedFromSiphon"]
        if transmission := content.get("transmission"):
            turns, enemy_type = transmission["turnsUntilSpawn"], transmission.get("enemyType")
            transmissions[place] = turns, None if enemy_type is None else ENEMY_NAMES.index(enemy_type)
            shown["transmission"] = min(turns, 4)
        for name, value in shown.items():
            values[_CHANNEL[name]] = value
    compact[_FIRST_CELL:] = np.array(of_cells, np.uint8).reshape(-1)
    numbers = {name: player[name] for name in _NUMBERS}
    numbers |= {"position": _place(player), "score": observation["score"], "turn": observation["turn"]}
    numbers["programs"] = sum(1 << int(program) for program in owned)
    if internal is not None:
        enemies = [_enemy_word(enemy, _place(enemy)) for enemy in internal["enemies"]]
        numbers["interval"] = internal["scheduledTaskInterval"]
        numbers["next_turn"] = internal["nextScheduledTaskTurn"]
        numbers["pending_spawns"] = internal["pendingSiphonTransmissions"]
    return Told(compact, np.array(cells, np.uint32), numbers, enemies, internal is not None, transmissions)


def _place(at: Mapping[str, Any]) -> int:
    return at["row"] * BOARD_SIZE + at["col"]


def _enemy_word(enemy: Mapping[str, Any], place: int) -> int:
    return word_of(
        (entity.KIND, entity.ENEMY),
        (entity.TYPE, ENEMY_NAMES.index(enemy["type"])),
        (entity.CELL, place),
        (entity.HP, enemy["hp"]),
        (entity.STUNNED, enemy["isStunned"]),
        (entity.FROM_SIPHON, enemy["spawnedFromSiphon"]),
        (entity.SCHEDULED, enemy.get("isFromScheduledTask", False)),
        (entity.TIMER, enemy.get("disabledTurns", 0)),
    )


def _read_ground(content: Mapping[str, Any]) -> tuple[int, dict[str, int]]:
    """The packed word of a cell, and its values in the observation by their names."""
    kind = cell.EXIT if content["isExit"] else cell.DATA_SIPHON if content["isDataSiphon"] else cell.EMPTY
    shown = {
        "data_siphon": content["isDataSiphon"],
        "exit": content["isExit"],
        "siphon_center": content["siphonCenter"],
    }
    word = word_of((cell.SIPHON_CENTER, content["siphonCenter"]))
    for name in ("credits", "energy"):
        if amount := content.get(name):
            shown[name] = amount
            word |= word_of((cell.RESOURCE, amount), (cell.IS_ENERGY, name == "energy"))
    if (block := content.get("block")) is None:
        return word | word_of((cell.CONTENT, kind)), shown
    if block["blockType"] == "question":
        shown["hidden_block"] = 1
        return word | word_of((cell.CONTENT, cell.DATA_BLOCK), (cell.HIDDEN, 1)), shown
    spawn, siphoned = block["transmissionSpawnCount"], block["isSiphoned"]
    shown |= {"spawn": spawn, "siphoned": siphoned}
    word |= word_of((cell.BLOCK_SPAWN, spawn), (cell.SIPHONED, siphoned))
    if block["blockType"] == "data":
        shown |= {"data_block": 1, "points": block["points"]}
        return word | word_of((cell.CONTENT, cell.DATA_BLOCK), (cell.BLOCK_VALUE, block["points"])), shown
    program = block["programActionIndex"] - FIRST_PROGRAM
    shown |= {"program_block": 1, PROGRAM_NAMES[program]: 1}
    return word | word_of((cell.CONTENT, cell.PROGRAM_BLOCK), (cell.BLOCK_VALUE, program)), shown
