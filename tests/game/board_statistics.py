"""What freshly generated boards (R2, R3, R6.4) have in common, and how often each thing occurs.

`broken_rules` looks at one board; `homogeneity` and `goodness_of_fit` compare many.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import numpy as np
from scipy.stats import chi2, chi2_contingency, norm

from tests.game.reference.board import Position, cell_at, neighbours, position, positions
from tests.game.reference.stage import in_line_of_fire, layout_accepted
from tests.game.reference.tables import CELLS, CORNERS, ENEMY_TYPES, PROGRAM_NAMES, PROGRAMS

Board = dict[str, Any]
Statistic = Callable[[Board], Iterator[tuple[str, Hashable]]]


def block_positions(board: Board) -> list[Position]:
    return [at for at in CELLS if "block" in cell_at(board, at)]


def blocks(board: Board) -> list[dict[str, Any]]:
    return [cell_at(board, at)["block"] for at in block_positions(board)]


def broken_rules(board: Board) -> list[str]:
    """What a board has that no fresh board has; it must have been entered without entities."""
    player = position(board["player"])
    exit_at = tuple(board["exit"])
    layout = set(block_positions(board))
    programs = [block["program"] for block in blocks(board) if block["kind"] == "program"]
    contents = {at: {"exit", "data_siphon"} & set(cell_at(board, at)) for at in CELLS}
    expected = {at: set() for at in CELLS} | {at: {"data_siphon"} for at in CORNERS if at != player}
    resources = [at for at in CELLS if at not in layout and at != exit_at]
    has_resource = {at: len({"credits", "energy"} & set(cell_at(board, at))) for at in CELLS}
    spawned = board["transmissions"]
    plain = {"turns": 1, "from_siphon": False, "scheduled": False}
    checks = {
        "the player is in a corner": player in CORNERS,
        "exit and data siphons are in the other corners": contents == expected | {exit_at: {"exit"}},
        "5 to 11 blocks": 5 <= len(layout) <= 11,
        "no blocks in corners": layout.isdisjoint(CORNERS),
        "the layout is accepted": layout_accepted(layout, exit_at),
        "no program twice": len(programs) == len(set(programs)),
        "spawn counts": all(block["spawn"] == expected_spawn(block) for block in blocks(board)),
        "resources": has_resource == dict.fromkeys(CELLS, 0) | dict.fromkeys(resources, 1),
        "no flags": not any({"siphoned", "siphon_center"} & set(cell_at(board, at)) for at in CELLS),
        "as many transmissions as the stage has": len(spawned) == board["stage"] == len(positions(spawned)),
        "transmissions on open cells": positions(spawned).isdisjoint(layout | {player}),
        "transmissions out of the line of fire": not any(in_line_of_fire(board, position(one)) for one in spawned),
        "transmissions are due and not flagged": all(one | plain == one for one in spawned),
        "a fresh schedule": board["schedule"] == dict.fromkeys(("interval", "next_turn"), 13 - board["stage"]),
        "no turn, uses or spawns": board["turn"] == board["atk_plus_uses"] == board["pending_spawns"] == 0,
        "all flags off": not (board["show"] or board["calm"] or board["step"]),
        "no enemies": not board["enemies"],
    }
    return [name for name, holds in checks.items() if not holds]


def expected_spawn(block: dict[str, Any]) -> int:
    return block["points"] if block["kind"] == "data" else PROGRAMS[block["program"]].spawn


def features(board: Board) -> Iterator[tuple[str, Hashable]]:
    """(name of the feature, what it is here); features of cells and blocks come several times."""
    player, exit_at = position(board["player"]), tuple(board["exit"])
    layout = block_positions(board)
    yield "exit beside the player", (player, exit_at)
    yield "count of blocks", len(layout)
    yield "count of program blocks", sum(block["kind"] == "program" for block in blocks(board))
    yield "blocks at the edge", (len(layout), sum(0 in at or 5 in at for at in layout))
    yield "adjacent blocks", sum(there in layout for at in layout for there in neighbours(at)) // 2
    for at, block in zip(layout, blocks(board), strict=True):
        yield "block at", at
        yield "block", (block["kind"], block["hidden"])
        yield ("points", block["points"]) if block["kind"] == "data" else ("program", block["program"])
        if exit_at != (0, 0):
            yield "block distance to exit", abs(at[0] - exit_at[0]) + abs(at[1] - exit_at[1])
    for at in CELLS:
        for kind in ("credits", "energy"):
            if kind in cell_at(board, at):
                yield "resource", (kind, cell_at(board, at)[kind])
                yield "resource in corner", (kind, cell_at(board, at)[kind], at in CORNERS)
                right = cell_at(board, (at[0], at[1] + 1)) if at[1] < 5 else {}
                if "credits" in right or "energy" in right:
                    yield "resource and its right neighbour", (kind, "credits" in right)
    for index, one in enumerate(board["transmissions"]):
        yield "transmission type", one["type"]
        yield "transmission at", position(one)
        yield "transmission number and type", (index, one["type"])
        corner = "corner" if position(one) in CORNERS else "aligned" if aligned(player, position(one)) else "elsewhere"
        yield "transmission relative to the player", corner


def new_game_features(board: Board) -> Iterator[tuple[str, Hashable]]:
    """The bonus of a new game (R2) and where it begins."""
    bonus = [name for name in ("credits", "energy", "data_siphons") if board["player"][name]]
    yield "corner and bonus", (position(board["player"]), *bonus)
    yield "bonus and exit", (tuple(board["exit"]), *bonus)


def aligned(a: Position, b: Position) -> bool:
    return a[0] == b[0] or a[1] == b[1]


def counted(boards: Iterable[Board], statistic: Statistic) -> dict[str, Counter]:
    """How often every value of every feature occurs."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for board in boards:
        for name, value in statistic(board):
            counts[name][value] += 1
    return counts


def homogeneity(ours: Counter, theirs: Counter) -> float:
    """Significance of a chi-square test that two samples have one distribution; rare values are put together."""
    table = np.array([[ours[value], theirs[value]] for value in ours | theirs], float)
    rare = table.sum(axis=1) * table.sum(axis=0).min() / table.sum() < 5
    if rare.any():
        table = np.vstack([table[~rare], table[rare].sum(axis=0)])
    table = table[table.sum(axis=1) > 0]
    return 1.0 if len(table) == 1 else float(chi2_contingency(table, correction=False).pvalue)


def goodness_of_fit(counts: Counter, probabilities: dict[Hashable, float]) -> float:
    """Significance of a chi-square test against known probabilities; a value that has none makes it 0."""
    if set(counts) - set(probabilities):
        return 0.0
    total = sum(counts.values())
    statistic = sum((counts[value] - total * p) ** 2 / (total * p) for value, p in probabilities.items())
    return float(chi2.sf(statistic, len(probabilities) - 1))


def uniform(values: Iterable[Hashable]) -> dict[Hashable, float]:
    values = list(values)
    return dict.fromkeys(values, 1 / len(values))


KNOWN = {
    "exit beside the player": uniform((player, at) for player in CORNERS for at in CORNERS if at != player),
    "count of blocks": uniform(range(5, 12)),
    "block": {(kind, hidden): 0.45 - 0.4 * hidden for kind in ("data", "program") for hidden in (False, True)},
    "points": uniform(range(1, 10)),
    "program": uniform(PROGRAM_NAMES),
    "resource": {(kind, n): p / 2 for kind in ("credits", "energy") for n, p in ((1, 0.45), (2, 0.45), (3, 0.1))},
    "transmission type": uniform(ENEMY_TYPES),
    "corner and bonus": uniform((at, bonus) for at in CORNERS for bonus in ("credits", "energy", "data_siphons")),
    "bonus and exit": uniform((at, bonus) for at in CORNERS for bonus in ("credits", "energy", "data_siphons")),
}


def first_spawn_significance(boards: Iterable[Board]) -> float:
    """The least significance, corrected for their number, of how often the first transmission is on each cell.

    Given the rest of its board it is uniform over the open cells out of the line of fire (R6.4).
    """
    excess, variance = Counter(), Counter()
    for board in boards:
        player, layout = position(board["player"]), set(block_positions(board))
        free = [at for at in CELLS if at not in layout and at != player]
        free = [at for at in free if not in_line_of_fire(board, at)]
        p = 1 / len(free)
        excess[position(board["transmissions"][0])] += 1
        for at in free:
            excess[at] -= p
            variance[at] += p * (1 - p)
    least = min(2 * norm.sf(abs(excess[at]) / np.sqrt(variance[at])) for at in CELLS)
    return min(1.0, len(CELLS) * least)
