"""A state becomes a dictionary (R12)."""

from typing import Any

import jax
import numpy as np

from hackmatrix_core.game import cell, entity, history
from hackmatrix_core.game.actions import PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.scenario.reading import PLAYER_RANGES
from hackmatrix_core.game.state import BOARD_SIZE, NUM_CELLS, GameState, Snapshot


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
    def entities(kind: int) -> list[dict[str, Any]]:
        words = map(int, source.entities)
        return [_write_entity(word, flags=flags) for word in words if entity.KIND.of(word) == kind]

    row, col = divmod(int(source.position), BOARD_SIZE)
    values = {name: int(getattr(source, name)) for name in PLAYER_RANGES if name not in ("row", "col")}
    cells = [_write_cell(int(word)) for word in source.cells]
    return {
        "turn": int(source.turn),
        "player": {"row": row, "col": col, **values},
        "programs": [name for i, name in enumerate(PROGRAM_NAMES) if int(source.programs) >> i & 1],
        "enemies": entities(entity.ENEMY),
        "transmissions": entities(entity.TRANSMISSION),
        "cells": [cells[start : start + BOARD_SIZE] for start in range(0, NUM_CELLS, BOARD_SIZE)],
        "show": bool(source.show),
        "calm": bool(source.calm),
        "atk_plus_uses": int(source.atk_plus_uses),
    }


def _write_cell(word: int) -> dict[str, Any]:
    written: dict[str, Any] = {}
    content = cell.CONTENT.of(word)
    if content in (cell.DATA_BLOCK, cell.PROGRAM_BLOCK):
        value, is_data = cell.BLOCK_VALUE.of(word), content == cell.DATA_BLOCK
        written["block"] = {
            "kind": "data" if is_data else "program",
            **({"points": value} if is_data else {"program": PROGRAM_NAMES[value]}),
            "spawn": cell.BLOCK_SPAWN.of(word),
            "hidden": bool(cell.HIDDEN.of(word)),
        }
    if amount := cell.RESOURCE.of(word):
        written["energy" if cell.IS_ENERGY.of(word) else "credits"] = amount
    marks = {
        "exit": content == cell.EXIT,
        "data_siphon": content == cell.DATA_SIPHON,
        "siphoned": cell.SIPHONED.of(word),
        "siphon_center": cell.SIPHON_CENTER.of(word),
    }
    return written | {name: True for name, is_set in marks.items() if is_set}


def _write_entity(word: int, *, flags: bool) -> dict[str, Any]:
    row, col = divmod(entity.CELL.of(word), BOARD_SIZE)
    written: dict[str, Any] = {"type": ENEMY_NAMES[entity.TYPE.of(word)], "row": row, "col": col}
    timer = entity.TIMER.of(word)
    if entity.KIND.of(word) == entity.ENEMY:
        written |= {"hp": entity.HP.of(word), "disabled": timer, "stunned": bool(entity.STUNNED.of(word))}
    else:
        written["turns"] = timer
    if flags:
        written["from_siphon"] = bool(entity.FROM_SIPHON.of(word))
        written["scheduled"] = bool(entity.SCHEDULED.of(word))
    return written
