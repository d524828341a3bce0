"""An empty board as a scenario, to which one adds what one needs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hackmatrix_core.game.entity import ENEMY_NAMES, FULL_HP
from hackmatrix_core.game.stage import first_interval
from hackmatrix_core.game.state import BOARD_SIZE, NUM_STAGES

_ENEMY = {"disabled": 0, "stunned": False, "from_siphon": False, "scheduled": False}
_TRANSMISSION = {"turns": 1, "from_siphon": False, "scheduled": False}
_FULL_HP = dict(zip(ENEMY_NAMES, map(int, FULL_HP), strict=True))


def blank(
    player: tuple[int, int] = (0, 0),
    *,
    exit: tuple[int, int] | None = (BOARD_SIZE - 1, BOARD_SIZE - 1),
    stage: int = 1,
    hp: int = 3,
    attack: int = 1,
    credits: int = 0,
    energy: int = 0,
    data_siphons: int = 0,
    score: int = 0,
    programs: Iterable[str] = (),
    enemies: Iterable[Mapping[str, Any] | Sequence[Any]] = (),
    transmissions: Iterable[Mapping[str, Any] | Sequence[Any]] = (),
    cells: Mapping[tuple[int, int], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A scenario (R12) of an empty board, with a player, an exit and what is given besides.

        from_dict(blank(player=(3, 3), enemies=[("virus", 3, 5)], programs=["row"], credits=3, energy=1))

    Args:
        player: (row, col), 0–5 each.
        exit: (row, col) of the exit, 0–5 each; None for a board without one.
        stage: 1–8.
        hp: 0–3.
        attack: at least 1.
        credits: at least 0; so energy, data_siphons and score.
        energy: see credits.
        data_siphons: see credits.
        score: see credits.
        programs: the names of those owned.
        enemies: (type, row, col), or a dictionary of R12 with at least these three; what is missing is that of an enemy
            at full hp, neither disabled nor stunned.
        transmissions: likewise; what is missing is that of a transmission with one turn left.
        cells: what lies on a cell, by (row, col): `{"block": {"kind": "data", "points": 5}}`, `{"data_siphon": True}`,
            `{"credits": 2}`, as in R12. A block is not hidden and a data block spawns its points unless it says
            otherwise.

    Returns:
        A dictionary for `from_dict`, which checks it; change it as you like.

    Raises:
        ValueError: a cell off the board, a player on a block, no such stage, or an enemy that is not given as above.
    """
    if stage not in range(1, NUM_STAGES + 1):
        raise ValueError(f"stage is {stage!r}, expected 1 to {NUM_STAGES}")
    board: list[list[dict[str, Any]]] = [[{} for _ in range(BOARD_SIZE)] for _ in range(BOARD_SIZE)]
    if exit is not None:
        row, col = _on_board(exit, "exit")
        board[row][col]["exit"] = True
    for at, content in (cells or {}).items():
        row, col = _on_board(at, "a cell")
        board[row][col] |= _cell(content)
    row, col = _on_board(player, "player")
    if "block" in board[row][col]:
        raise ValueError(f"player is at {(row, col)}, where a block is. Place one of them elsewhere")
    return {
        "stage": stage,
        "turn": 0,
        "player": {
            "row": row,
            "col": col,
            "hp": hp,
            "credits": credits,
            "energy": energy,
            "data_siphons": data_siphons,
            "attack": attack,
            "score": score,
        },
        "exit": list(exit if exit is not None else (0, 0)),
        "cells": board,
        "enemies": [_entity(enemy, _ENEMY, "an enemy") for enemy in enemies],
        "transmissions": [_entity(entity, _TRANSMISSION, "a transmission") for entity in transmissions],
        "programs": list(programs),
        "show": False,
        "calm": False,
        "step": False,
        "atk_plus_uses": 0,
        "schedule": {"interval": first_interval(stage), "next_turn": first_interval(stage)},
        "pending_spawns": 0,
        "history": [],
    }


def _cell(content: Mapping[str, Any]) -> dict[str, Any]:
    cell = dict(content)
    if isinstance(block := cell.get("block"), Mapping):
        spawn = block.get("points", 0)
        cell["block"] = {"spawn": spawn, "hidden": False} | dict(block)
    return cell


def _entity(entity: Mapping[str, Any] | Sequence[Any], rest: dict[str, Any], what: str) -> dict[str, Any]:
    given = dict(entity) if isinstance(entity, Mapping) else dict(zip(("type", "row", "col"), entity, strict=False))
    if isinstance(entity, str) or not {"type", "row", "col"} <= set(given):
        raise ValueError(f"{what} is {entity!r}, expected (type, row, col) or a dictionary with at least these keys")
    full = {"hp": _FULL_HP.get(given["type"], 1)} if rest is _ENEMY else {}
    return full | rest | given


def _on_board(at: tuple[int, int], what: str) -> tuple[int, int]:
    try:
        row, col = at
    except (TypeError, ValueError):
        raise ValueError(f"{what} is at {at!r}, expected (row, col)") from None
    if not (0 <= row < BOARD_SIZE and 0 <= col < BOARD_SIZE):
        raise ValueError(f"{what} is at {at!r}, expected a row and a column from 0 to {BOARD_SIZE - 1}")
    return row, col
