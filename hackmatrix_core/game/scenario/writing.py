"""A state becomes a dictionary (R12)."""

from typing import Any

import jax
import numpy as np

from hackmatrix_core.game import history
from hackmatrix_core.game.scenario.ranges import PLAYER_RANGES
from hackmatrix_core.game.state import (
    BLOCK_SPAWN,
    BLOCK_VALUE,
    BOARD_SIZE,
    CELL,
    CONTENT,
    DATA_BLOCK,
    DATA_SIPHON,
    ENEMY,
    ENEMY_NAMES,
    EXIT,
    FROM_SIPHON,
    HIDDEN,
    HP,
    IS_ENERGY,
    KIND,
    NUM_CELLS,
    PROGRAM_BLOCK,
    PROGRAM_NAMES,
    RESOURCE,
    SCHEDULED,
    SIPHON_CENTER,
    SIPHONED,
    STUNNED,
    TIMER,
    TRANSMISSION,
    TYPE,
    Field,
    GameState,
    Snapshot,
)


def to_dict(state: GameState) -> dict[str, Any]:
    """The dictionary of a state (R12), ready for JSON.

    Args:
        state: of one game; for a batch take one game of it first, `jax.tree.map(lambda x: x[i], states)`.

    Raises:
        ValueError: the state is a batch.
    """
    if np.shape(state.stage):
        raise ValueError(
            f"the state is a batch of shape {np.shape(state.stage)}, expected one game: "
            "take one with jax.tree.map(lambda x: x[i], states)"
        )
    state = jax.tree.map(np.asarray, state)
    return {
        **_write_snapshot(state, flags=True),
        "stage": int(state.stage),
        "exit": list(divmod(int(state.exit), BOARD_SIZE)),
        "step": bool(state.step),
        "schedule": {"interval": int(state.interval), "next_turn": int(state.next_turn)},
        "pending_spawns": int(state.pending_spawns),
        "history": [_write_snapshot(snapshot, flags=False) for snapshot in history.snapshots(state)],
    }


def _write_snapshot(source: Snapshot, *, flags: bool) -> dict[str, Any]:
    words = [int(word) for word in source.entities if word]
    row, col = divmod(int(source.position), BOARD_SIZE)
    values = {name: int(getattr(source, name)) for name in PLAYER_RANGES if name not in ("row", "col")}
    cells = [_write_cell(int(word)) for word in source.cells]
    return {
        "turn": int(source.turn),
        "player": {"row": row, "col": col, **values},
        "programs": [name for i, name in enumerate(PROGRAM_NAMES) if int(source.programs) >> i & 1],
        "enemies": [_write_entity(word, flags=flags) for word in words if _value(KIND, word) == ENEMY],
        "transmissions": [_write_entity(word, flags=flags) for word in words if _value(KIND, word) == TRANSMISSION],
        "cells": [cells[start : start + BOARD_SIZE] for start in range(0, NUM_CELLS, BOARD_SIZE)],
        "show": bool(source.show),
        "calm": bool(source.calm),
        "atk_plus_uses": int(source.atk_plus_uses),
    }


def _write_cell(word: int) -> dict[str, Any]:
    cell: dict[str, Any] = {}
    content = _value(CONTENT, word)
    if content in (DATA_BLOCK, PROGRAM_BLOCK):
        value, is_data = _value(BLOCK_VALUE, word), content == DATA_BLOCK
        cell["block"] = {
            "kind": "data" if is_data else "program",
            **({"points": value} if is_data else {"program": PROGRAM_NAMES[value]}),
            "spawn": _value(BLOCK_SPAWN, word),
            "hidden": bool(_value(HIDDEN, word)),
        }
    if content == EXIT:
        cell["exit"] = True
    if content == DATA_SIPHON:
        cell["data_siphon"] = True
    if amount := _value(RESOURCE, word):
        cell["energy" if _value(IS_ENERGY, word) else "credits"] = amount
    if _value(SIPHONED, word):
        cell["siphoned"] = True
    if _value(SIPHON_CENTER, word):
        cell["siphon_center"] = True
    return cell


def _write_entity(word: int, *, flags: bool) -> dict[str, Any]:
    row, col = divmod(_value(CELL, word), BOARD_SIZE)
    entity: dict[str, Any] = {"type": ENEMY_NAMES[_value(TYPE, word)], "row": row, "col": col}
    if _value(KIND, word) == ENEMY:
        entity |= {
            "hp": _value(HP, word),
            "disabled": _value(TIMER, word),
            "stunned": bool(_value(STUNNED, word)),
        }
    else:
        entity["turns"] = _value(TIMER, word)
    if flags:
        entity |= {"from_siphon": bool(_value(FROM_SIPHON, word)), "scheduled": bool(_value(SCHEDULED, word))}
    return entity


def _value(field: Field, word: int) -> int:
    return (word >> field.shift) & field.limit
