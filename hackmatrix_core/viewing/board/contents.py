"""What there is to see of one game: what is on each cell, what stands beside the board, and the words for it.

All of it is read from the dictionary of R12. Nothing is kept from the viewer: what the player does not see (a hidden
block, an unseen cryptog) is shown as such.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hackmatrix_core.game import GameState, scenario
from hackmatrix_core.game.entity import ENEMY_NAMES, FULL_HP
from hackmatrix_core.game.state import BOARD_SIZE, MAX_HP, NUM_STAGES
from hackmatrix_core.viewing.actions import ACTIONS

Cell = Mapping[str, Any]
"""A cell of R12 with `item` (`exit`, `data siphon`, `exit position` or nothing) and `here`, the entities on it."""
Entity = Mapping[str, Any]
"""The player, an enemy, or a transmission, which alone has `turns`; `type` is its colour in the palette."""

_FULL_HP = {"player": MAX_HP} | dict(zip(ENEMY_NAMES, map(int, FULL_HP), strict=True))
_CONDITIONS = {
    "stunned": "stunned", "disabled": "disabled for {}", "unseen": "unseen", "from_siphon": "from a siphon",
    "scheduled": "scheduled",
}  # fmt: skip
_PRICES = {action.name: action.price for action in ACTIONS}


def read(state: GameState) -> dict[str, Any]:
    """The dictionary of one game (R12) with a `Cell` for each cell, and the length of its history as `undo`.

    `programs` has the owned ones with their costs, as in ("crash", "3c 2e").

    Raises:
        ValueError: the state is a batch.
    """
    # Only the length of the history is shown, and most of the time would go to the rest of it.
    game = scenario.to_dict(dataclasses.replace(state, history_length=np.int32(0)))  # type: ignore[arg-type]
    game |= {"undo": int(state.history_length), "programs": [(name, _PRICES[name]) for name in game["programs"]]}
    for row, col in np.ndindex(BOARD_SIZE, BOARD_SIZE):
        cell = game["cells"][row][col]
        item = "exit" if "exit" in cell else "data siphon" if "data_siphon" in cell else ""
        if not item and [row, col] == game["exit"]:
            item = "exit position"  # R1.8
        cell |= {"row": row, "col": col, "item": item, "here": []}
    player = game["player"] | {"type": "player"}
    for enemy in game["enemies"]:
        in_line = enemy["row"] == player["row"] or enemy["col"] == player["col"]
        enemy["unseen"] = enemy["type"] == "cryptog" and not (game["show"] or in_line)  # R1.5
    for entity in (player, *game["enemies"], *game["transmissions"]):
        game["cells"][entity["row"]][entity["col"]]["here"].append(entity)
    return game


def cells(game: Mapping[str, Any]) -> Iterator[Cell]:
    """All cells in the order in which they are read: row 0 is at the bottom (R1.1)."""
    for row in reversed(game["cells"]):
        yield from row


def status(game: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What is shown beside the board: lines of one or two pairs of label and value."""
    player, schedule = game["player"], game["schedule"]
    spawn = f"turn {schedule['next_turn']}" if schedule["interval"] > 0 else "none"
    return (
        (("stage", f"{game['stage']}/{NUM_STAGES}"), ("turn", str(game["turn"]))),
        (("hp", f"{player['hp']}/{MAX_HP}"), ("attack", str(player["attack"]))),
        (("credits", str(player["credits"])), ("energy", str(player["energy"]))),
        (("siphons", str(player["data_siphons"])), ("score", str(player["score"]))),
        (("next spawn", "none (calm)" if game["calm"] else spawn),),
        (("interval", str(schedule["interval"])), ("pending", str(game["pending_spawns"]))),
        (("flags", " ".join(flag for flag in ("show", "calm", "step") if game[flag]) or "none"),),
        (("undo", str(game["undo"])), ("programs", str(len(game["programs"])))),
    )


def sign(entity: Entity) -> str:
    """Letter and number, as in "V2": its hp, or the turns that are left."""
    letter = "@" if entity["type"] == "player" else entity["type"][0].upper()
    return f"{letter}{entity.get('turns', entity.get('hp'))}"


def marks(entity: Entity) -> str:
    """The signs for its condition, as in "*z2°": stunned, disabled for 2 turns, from a siphon."""
    disabled = entity.get("disabled", 0)
    return "*" * entity.get("stunned", 0) + f"z{disabled}" * bool(disabled) + "°" * entity.get("from_siphon", 0)


def label(block: Mapping[str, Any]) -> str:
    """The name of its program, or its points."""
    return block["program"] if block["kind"] == "program" else f"{block['points']}pt"


def resources(cell: Cell) -> list[tuple[str, int]]:
    """Credits or energy with the amount."""
    return [(name, cell[name]) for name in ("credits", "energy") if name in cell]


def words(cell: Cell) -> str:
    """Everything there is to say about a cell, for a tooltip."""
    parts = []
    if block := cell.get("block"):
        hidden = ", hidden" if block["hidden"] else ""
        parts.append(f"{block['kind']} block {label(block)}, brings {block['spawn']} enemies{hidden}")
    parts += [cell["item"]] if cell["item"] else []
    parts += [f"{amount} {name}" for name, amount in resources(cell)]
    parts += ["siphoned"] * ("siphoned" in cell) + ["siphon centre"] * ("siphon_center" in cell)
    parts += map(_words_entity, cell["here"])
    return f"row {cell['row']}, column {cell['col']}: {'; '.join(parts) or 'empty'}"


def _words_entity(entity: Entity) -> str:
    kind = entity["type"]
    if "turns" in entity:
        parts = [f"transmission of a {kind}", f"{entity['turns']} turns left"]
    else:
        parts = [kind, f"{entity['hp']} of {_FULL_HP[kind]} hp"]
    return ", ".join(parts + [words.format(entity[name]) for name, words in _CONDITIONS.items() if entity.get(name)])


def _cell(**things: Any) -> Cell:
    return {"row": 0, "col": 0, "item": "", "here": []} | things


def _entity(name: str, **conditions: Any) -> Cell:
    return _cell(here=[{"type": name, "hp": _FULL_HP[name]} | conditions])


def _block(hidden: bool = False, **properties: Any) -> Cell:
    return _cell(block=properties | {"hidden": hidden})


LEGEND: tuple[tuple[Cell, str], ...] = (
    (_entity("player"), "you, 3 hp"),
    (_entity("virus"), "virus, 2 hp"),
    (_entity("daemon"), "daemon, 3 hp"),
    (_entity("glitch"), "glitch, 2 hp"),
    (_entity("cryptog"), "cryptog, 2 hp"),
    (_entity("cryptog", unseen=True), "cryptog, unseen"),
    (_entity("virus", stunned=True), "stunned"),
    (_entity("virus", disabled=1), "disabled, 1 turn"),
    (_entity("virus", from_siphon=True), "from a siphon"),
    (_entity("virus", turns=1), "virus in 1 turn"),
    (_block(kind="data", points=5, spawn=5), "5 points, 5 spawns"),
    (_block(kind="program", program="push", spawn=4), "program, 4 spawns"),
    (_block(kind="data", points=5, spawn=5, hidden=True), "hidden block"),
    (_cell(credits=2), "2 credits"),
    (_cell(energy=2), "2 energy"),
    (_cell(item="data siphon"), "data siphon"),
    (_cell(item="exit"), "exit"),
    (_cell(item="exit position"), "exit position"),
    (_cell(siphoned=True), "siphoned"),
    (_cell(siphon_center=True), "siphon centre"),
)
"""What the marks mean: a cell that shows just this, as every rendering shows it, and its words."""
