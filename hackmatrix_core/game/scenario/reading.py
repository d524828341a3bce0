"""A dictionary becomes a state (R12). What is refused is refused with its place and the expectation; no repair."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hackmatrix_core.game import cell, entity, history
from hackmatrix_core.game.actions import PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES, FULL_HP
from hackmatrix_core.game.packing import word_of
from hackmatrix_core.game.state import (
    BOARD_SIZE,
    DEFAULT_UNDO_DEPTH,
    MAX_ENTITIES,
    MAX_HP,
    NUM_STAGES,
    GameState,
    Snapshot,
)

MANY = 10**9
"""Far more than a game can bring; the sum of two still fits an int32, so that no action makes a number overflow."""
PLAYER_RANGES = {
    "row": (0, BOARD_SIZE - 1),
    "col": (0, BOARD_SIZE - 1),
    "hp": (0, MAX_HP),
    "credits": (0, MANY),
    "energy": (0, MANY),
    "data_siphons": (0, MANY),
    "attack": (1, MANY),
    "score": (0, MANY),
}
_SNAPSHOT_KEYS = ("turn", "player", "programs", "enemies", "transmissions", "cells", "show", "calm", "atk_plus_uses")
_STATE_KEYS = (*_SNAPSHOT_KEYS, "stage", "exit", "step", "schedule", "pending_spawns", "history")
_FLAG_KEYS = ("from_siphon", "scheduled")


def from_dict(scenario: dict[str, Any], undo_depth: int = DEFAULT_UNDO_DEPTH) -> GameState:
    """The state that a dictionary describes (R12).

    Args:
        scenario: plain dictionaries, lists, numbers, booleans and strings, as JSON gives them.
        undo_depth: how many snapshots the state keeps for UNDO, as in `hackmatrix_core.reset`. Of a longer history the
            newest are taken, as the game does.

    Returns:
        A `GameState` of one game.

    Raises:
        ValueError: names the place, the value and what was expected.
    """
    current = _read_snapshot(_object(scenario, "", _STATE_KEYS), "", flags=True)
    exits = np.flatnonzero(cell.CONTENT.get(current["cells"]) == cell.EXIT).tolist()
    if len(exits) > 1:
        raise ValueError(
            f"cells has exits at {[list(divmod(index, BOARD_SIZE)) for index in exits]}, expected at most one"
        )
    schedule = _object(scenario["schedule"], "schedule", ("interval", "next_turn"))
    undo_depth = history.checked_depth(undo_depth)
    kept = [
        Snapshot(**_read_snapshot(_object(entry, f"history[{i}]", _SNAPSHOT_KEYS), f"history[{i}].", flags=False))
        for i, entry in enumerate(_list(scenario["history"], "history"))
    ][-undo_depth:]
    arrays: dict[str, Any] = {
        **current,
        "stage": np.int32(_integer(scenario["stage"], "stage", 1, NUM_STAGES)),
        "exit": np.int32(_position(scenario["exit"], "exit")),
        "interval": np.int32(_integer(schedule["interval"], "schedule.interval", 0, MANY)),
        "next_turn": np.int32(_integer(schedule["next_turn"], "schedule.next_turn", -MANY, MANY)),
        "pending_spawns": np.int32(_integer(scenario["pending_spawns"], "pending_spawns", 0, MANY)),
        "step": np.bool_(_boolean(scenario["step"], "step")),
        **history.from_snapshots(kept, undo_depth),
    }
    return jax.device_put(GameState(**arrays))


def _read_snapshot(source: dict[str, Any], at: str, *, flags: bool) -> dict[str, Any]:
    player = _object(source["player"], f"{at}player", tuple(PLAYER_RANGES))
    number = {name: _integer(player[name], f"{at}player.{name}", *limits) for name, limits in PLAYER_RANGES.items()}
    values = {name: np.int32(number[name]) for name in PLAYER_RANGES if name not in ("row", "col")}
    return {
        **values,
        "position": np.int32(number["row"] * BOARD_SIZE + number["col"]),
        "cells": _read_cells(source["cells"], f"{at}cells"),
        "entities": _read_entities(source, at, flags=flags),
        "turn": np.int32(_integer(source["turn"], f"{at}turn", 0, MANY)),
        "programs": _read_programs(source["programs"], f"{at}programs"),
        "show": np.bool_(_boolean(source["show"], f"{at}show")),
        "calm": np.bool_(_boolean(source["calm"], f"{at}calm")),
        "atk_plus_uses": np.int32(_integer(source["atk_plus_uses"], f"{at}atk_plus_uses", 0, 2)),
    }


def _read_programs(names: Any, place: str) -> np.uint32:
    owned = [_name(name, f"{place}[{i}]", PROGRAM_NAMES) for i, name in enumerate(_list(names, place))]
    if len(set(owned)) != len(owned):
        raise ValueError(f"{place} is {names}, expected each program at most once")
    return np.uint32(sum(1 << index for index in owned))


def _read_cells(rows: Any, place: str) -> np.ndarray:
    words = []
    for row, cells in enumerate(_list(rows, place, BOARD_SIZE)):
        for col, content in enumerate(_list(cells, f"{place}[{row}]", BOARD_SIZE)):
            words.append(_read_cell(content, f"{place}[{row}][{col}]"))
    return np.array(words, np.uint32)


def _read_cell(given: Any, place: str) -> int:
    optional = ("block", "exit", "data_siphon", "credits", "energy", "siphoned", "siphon_center")
    _object(given, place, (), optional)
    contents = [name for name in ("block", "exit", "data_siphon") if name in given]
    if len(contents) > 1:
        raise ValueError(f"{place} has {' and '.join(contents)}, expected at most one content")
    if "credits" in given and "energy" in given:
        raise ValueError(f"{place} has credits and energy, expected at most one resource")
    for name in ("exit", "data_siphon", "siphoned", "siphon_center"):
        if given.get(name, True) is not True:
            raise ValueError(f"{place}.{name} is {given[name]!r}, expected true, or the key left out")
    content = cell.EXIT if "exit" in given else cell.DATA_SIPHON if "data_siphon" in given else cell.EMPTY
    word = _read_block(given["block"], f"{place}.block") if "block" in given else word_of((cell.CONTENT, content))
    word |= word_of((cell.SIPHONED, "siphoned" in given), (cell.SIPHON_CENTER, "siphon_center" in given))
    for name in ("credits", "energy"):
        if name in given:
            amount = _integer(given[name], f"{place}.{name}", 1, cell.RESOURCE.limit)
            word |= word_of((cell.RESOURCE, amount), (cell.IS_ENERGY, name == "energy"))
    return word


def _read_block(block: Any, place: str) -> int:
    if not isinstance(block, dict) or block.get("kind") not in ("data", "program"):
        raise ValueError(f"{place} is {block!r}, expected an object whose kind is 'data' or 'program'")
    is_data = block["kind"] == "data"
    _object(block, place, ("kind", "points" if is_data else "program", "spawn", "hidden"))
    if is_data:
        value = _integer(block["points"], f"{place}.points", 1, 9)
    else:
        value = _name(block["program"], f"{place}.program", PROGRAM_NAMES)
    return word_of(
        (cell.CONTENT, cell.DATA_BLOCK if is_data else cell.PROGRAM_BLOCK),
        (cell.BLOCK_VALUE, value),
        (cell.BLOCK_SPAWN, _integer(block["spawn"], f"{place}.spawn", 0, 9)),
        (cell.HIDDEN, _boolean(block["hidden"], f"{place}.hidden")),
    )


def _read_entities(source: dict[str, Any], at: str, *, flags: bool) -> np.ndarray:
    words = []
    for kind, group in ((entity.ENEMY, "enemies"), (entity.TRANSMISSION, "transmissions")):
        for i, given in enumerate(_list(source[group], f"{at}{group}")):
            words.append(_read_entity(given, f"{at}{group}[{i}]", kind, flags=flags))
    if len(words) > MAX_ENTITIES:
        raise ValueError(
            f"{at}enemies and {at}transmissions are {len(words)} together, expected at most {MAX_ENTITIES}"
        )
    return np.array(words + [0] * (MAX_ENTITIES - len(words)), np.uint32)


def _read_entity(given: Any, place: str, kind: int, *, flags: bool) -> int:
    own = ("hp", "disabled", "stunned") if kind == entity.ENEMY else ("turns",)
    _object(given, place, ("type", "row", "col", *own, *(_FLAG_KEYS if flags else ())))
    enemy_type = _name(given["type"], f"{place}.type", ENEMY_NAMES)
    at = _position([given["row"], given["col"]], place)
    fields = [(entity.KIND, kind), (entity.TYPE, enemy_type), (entity.CELL, at)]
    if flags:
        fields.append((entity.FROM_SIPHON, _boolean(given["from_siphon"], f"{place}.from_siphon")))
        fields.append((entity.SCHEDULED, _boolean(given["scheduled"], f"{place}.scheduled")))
    if kind == entity.TRANSMISSION:
        return word_of(*fields, (entity.TIMER, _integer(given["turns"], f"{place}.turns", 0, entity.TIMER.limit)))
    return word_of(
        *fields,
        (entity.HP, _integer(given["hp"], f"{place}.hp", 1, int(FULL_HP[enemy_type]))),
        (entity.TIMER, _integer(given["disabled"], f"{place}.disabled", 0, entity.TIMER.limit)),
        (entity.STUNNED, _boolean(given["stunned"], f"{place}.stunned")),
    )


def _object(value: Any, place: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    name = place or "the scenario"
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r}, expected an object with the keys {', '.join((*required, *optional))}")
    for key in value:
        if key not in required and key not in optional:
            raise ValueError(f"{name} has the unknown key {key!r}, expected {', '.join((*required, *optional))}")
    for key in required:
        if key not in value:
            raise ValueError(f"{name} has no key {key!r}, expected {', '.join(required)}")
    return value


def _list(value: Any, place: str, length: int | None = None) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place} is {value!r}, expected a list")
    if length is not None and len(value) != length:
        raise ValueError(f"{place} has {len(value)} entries, expected {length}")
    return value


def _integer(value: Any, place: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        expected = f"an integer from {low} to {high}" if high == MANY else f"{low} to {high}"
        raise ValueError(f"{place} is {value!r}, expected {expected}")
    return int(value)


def _boolean(value: Any, place: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{place} is {value!r}, expected true or false")
    return bool(value)


def _name(value: Any, place: str, names: Sequence[str]) -> int:
    if value not in names:
        raise ValueError(f"{place} is {value!r}, expected one of {', '.join(names)}")
    return names.index(value)


def _position(value: Any, place: str) -> int:
    row, col = _list(value, place, 2)
    row, col = (_integer(part, f"{place}.{name}", 0, BOARD_SIZE - 1) for part, name in ((row, "row"), (col, "col")))
    return row * BOARD_SIZE + col
