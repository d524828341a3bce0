"""The board of a state in the form of R12: cells, entities on cells, distances.

A position is a tuple (row, col). Nothing here changes a state except `content_removed`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from .tables import AROUND, DIRECTIONS, SIZE

State = dict[str, Any]
Entity = dict[str, Any]
Position = tuple[int, int]


def clone(value: Any) -> Any:
    """A deep copy of JSON-like data; a history is shared, because snapshots never change."""
    if isinstance(value, dict):
        return {key: item if key == "history" else clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def position(thing: dict[str, Any]) -> Position:
    """Where an entity or the player is."""
    return thing["row"], thing["col"]


def cell_at(state: State, at: Position) -> dict[str, Any]:
    return state["cells"][at[0]][at[1]]


def has_block(state: State, at: Position) -> bool:
    return "block" in cell_at(state, at)


def content_removed(cell: dict[str, Any]) -> None:
    """Make the content of a cell empty; resource and flags stay (R1.2)."""
    for content in ("block", "exit", "data_siphon"):
        cell.pop(content, None)


def on_board(at: Position) -> bool:
    return 0 <= at[0] < SIZE and 0 <= at[1] < SIZE


def shifted(at: Position, direction: tuple[int, int]) -> Position:
    return at[0] + direction[0], at[1] + direction[1]


@cache
def neighbours(at: Position) -> tuple[Position, ...]:
    """The orthogonal neighbours on the board, in direction order."""
    return tuple(shifted(at, direction) for direction in DIRECTIONS if on_board(shifted(at, direction)))


@cache
def around(at: Position) -> tuple[Position, ...]:
    """The up to eight cells around, those on the board."""
    return tuple(shifted(at, direction) for direction in AROUND if on_board(shifted(at, direction)))


def plus(at: Position) -> tuple[Position, ...]:
    """The cell and its orthogonal neighbours: what a siphon reaches (R5)."""
    return (at, *neighbours(at))


def manhattan(a: Position, b: Position) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def located(entities: Iterable[Entity], at: Position) -> list[Entity]:
    """The entities on a cell, in list order."""
    return [entity for entity in entities if position(entity) == at]


def positions(entities: Iterable[Entity]) -> set[Position]:
    return {position(entity) for entity in entities}


def distances(start: Position, enters: Callable[[Position], bool]) -> dict[Position, int]:
    """Steps from `start` to every cell reached in orthogonal steps over cells for which `enters` holds."""
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for there in neighbours(here):
            if there not in found and enters(there):
                found[there] = found[here] + 1
                waiting.append(there)
    return found


def exit_distance(state: State) -> int:
    """The distance of R10: player to exit position, over cells without a block; 0 if there is no path.

    The player's cell and the target may hold a block.
    """
    target = tuple(state["exit"])
    found = distances(position(state["player"]), lambda at: at == target or not has_block(state, at))
    return found.get(target, 0)
