"""States for tests, as dictionaries (R12): from random play, and made richer than play makes them.

Play alone seldom has many enemies, owned programs, shared cells or entities on blocks; the rules hold there too.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests.game import reference
from tests.game.reference.board import State, clone, neighbours, position
from tests.game.reference.tables import CELLS, ENEMY_TYPES, FULL_HP, PROGRAM_NAMES, SIPHON
from tests.game.reference.turn import kept, snapshot


def visited(rng: Random, undo_depth: int = DEFAULT_UNDO_DEPTH) -> Iterator[State]:
    """Endless random play: the states of games, up to 60 of each; in most games some of them are enriched.

    No history is longer than the depth, and in most games it is shorter still: long ones make tests slow.
    """
    while True:
        state = reference.reset(rng)
        richness = rng.choice([0, 0.1, 0.3, 0.6])
        longest = min(undo_depth, rng.choice([4, 4, undo_depth]))
        for _ in range(60):
            if rng.random() < richness:
                state = enriched(state, rng)
            state["history"] = kept(state["history"], longest)
            yield state
            actions = reference.valid_actions(state)
            if not actions:
                break
            state, outcome = reference.step(state, likely_action(actions, rng), rng, undo_depth)
            if outcome.terminated:
                break


def likely_action(actions: list[int], rng: Random) -> int:
    """One of the actions; the moves together are a third where there are others."""
    if SIPHON in actions and rng.random() < 0.15:
        return SIPHON
    moves = [action for action in actions if action < 4]
    others = [action for action in actions if action >= 4]
    return rng.choice(moves if moves and (not others or rng.random() < 0.5) else others)


def enriched(state: State, rng: Random) -> State:
    """The state with a few things changed at random; always one that `from_dict` takes."""
    state = clone(state)
    for change in rng.sample(CHANGES, rng.choice([1, 2, 4, 6])):
        change(state, rng)
    return state


def _anywhere(state: State, rng: Random) -> dict[str, int]:
    """A cell for something: any, or one that is of interest already."""
    busy = [(thing["row"], thing["col"]) for thing in [state["player"], *state["enemies"], *state["transmissions"]]]
    blocks = [at for at in CELLS if "block" in state["cells"][at[0]][at[1]]]
    row, col = rng.choice(rng.choice([CELLS, CELLS, busy, blocks or CELLS]))
    return {"row": row, "col": col}


def _some(cells: list[list[dict[str, Any]]], count: int, rng: Random) -> list[dict[str, Any]]:
    return [cells[row][col] for row, col in rng.sample(CELLS, count)]


def _be_equipped(state: State, rng: Random) -> None:
    chosen = rng.sample(PROGRAM_NAMES, rng.choice([2, 5, 23]))
    state["programs"] = [name for name in PROGRAM_NAMES if name in chosen]
    state["player"]["credits"] = rng.randrange(61)
    state["player"]["energy"] = rng.randrange(61)
    state["player"]["data_siphons"] = rng.randrange(4)


def _fare(state: State, rng: Random) -> None:
    state["player"] |= {"hp": rng.choice([1, 1, 2, 3]), "attack": rng.randint(1, 3), "score": rng.randrange(30)}
    state["stage"] = rng.randint(1, 8)
    state["atk_plus_uses"] = rng.randrange(3)


def _stand_elsewhere(state: State, rng: Random) -> None:
    state["player"] |= _anywhere(state, rng)


def _add_enemies(state: State, rng: Random) -> None:
    for _ in range(min(rng.choice([1, 2, 3, 6]), _room(state))):
        enemy_type = rng.choice(ENEMY_TYPES)
        enemy = {"type": enemy_type, **_anywhere(state, rng), "hp": rng.randint(1, FULL_HP[enemy_type])}
        enemy |= {"disabled": rng.choice([0, 0, 0, 1, 2]), "stunned": rng.random() < 0.2}
        state["enemies"].append(enemy | _origin(rng))
    rng.shuffle(state["enemies"])


def _add_transmissions(state: State, rng: Random) -> None:
    for _ in range(min(rng.choice([1, 2, 5]), _room(state))):
        entity = {"type": rng.choice(ENEMY_TYPES), **_anywhere(state, rng), "turns": rng.choice([1, 1, 2, 4, 7])}
        state["transmissions"].append(entity | _origin(rng))


def _room(state: State) -> int:
    return reference.MAX_ENTITIES - len(state["enemies"]) - len(state["transmissions"])


def _origin(rng: Random) -> dict[str, bool]:
    return {"from_siphon": rng.random() < 0.4, "scheduled": rng.random() < 0.3}


def _few_entities(state: State, rng: Random) -> None:
    state["enemies"] = state["enemies"][: rng.randrange(3)]
    state["transmissions"] = state["transmissions"][: rng.randrange(2)]


def _siphon_cells(state: State, rng: Random) -> None:
    for cell in _some(state["cells"], 8, rng):
        cell["siphoned"] = True
        if "block" in cell:
            cell["block"] |= {"spawn": 0, "hidden": False}
        elif rng.random() < 0.7:
            cell.pop("credits", None)
            cell.pop("energy", None)
        if rng.random() < 0.2:
            cell["siphon_center"] = True


def _add_blocks(state: State, rng: Random) -> None:
    for cell in _some(state["cells"], rng.choice([2, 6, 14]), rng):
        if not {"exit", "data_siphon"} & set(cell):
            block = {"spawn": rng.randrange(10), "hidden": rng.random() < 0.2}
            if rng.random() < 0.5:
                block |= {"kind": "data", "points": rng.randint(1, 9)}
            else:
                block |= {"kind": "program", "program": rng.choice(PROGRAM_NAMES)}
            cell.pop("credits", None)
            cell.pop("energy", None)
            cell["block"] = block


def _leave_few_cells(state: State, rng: Random) -> None:
    """Blocks all over the board but for a few cells, and something to spawn there: a search can fail (R6.4)."""
    here = position(state["player"])
    left = {here, *rng.sample(neighbours(here), 1), *rng.sample(CELLS, rng.randrange(4))}
    for at in CELLS:
        cell = state["cells"][at[0]][at[1]]
        if at not in left and "block" not in cell:
            for name in ("exit", "data_siphon", "credits", "energy"):
                cell.pop(name, None)
            cell["block"] = {"kind": "data", "points": rng.randint(1, 9), "spawn": rng.randrange(4), "hidden": False}
    state["pending_spawns"] = rng.choice([1, 1, 2])


def _set_flags(state: State, rng: Random) -> None:
    for flag in ("show", "calm", "step"):
        state[flag] = rng.random() < 0.5


def _hurry(state: State, rng: Random) -> None:
    state["schedule"] = {"interval": rng.randint(4, 12), "next_turn": state["turn"] + rng.randint(-2, 3)}
    state["pending_spawns"] = rng.choice([0, 0, 1, 2, 9])


def _remember(state: State, rng: Random) -> None:
    """Snapshots that differ from now and from each other: one, or so many that the history may be full."""
    remembered = clone(state)
    for change in rng.sample([_add_enemies, _stand_elsewhere, _siphon_cells, _fare, _be_equipped, _set_flags], 2):
        change(remembered, rng)
    like = snapshot(remembered)
    for _ in range(rng.choice([1, 1, rng.randint(2, 2 * DEFAULT_UNDO_DEPTH)])):
        player = like["player"] | {"credits": rng.randrange(61), "score": rng.randrange(30)}
        state["history"] = [*state["history"], like | {"turn": rng.randrange(100), "player": player}]


def _displace_exit(state: State, rng: Random) -> None:
    """The exit cell, or another cell as the exit position: only undo lets the two differ (R1.8)."""
    cell = rng.choice(_some(state["cells"], 4, rng))
    if rng.random() < 0.5 and not {"block", "data_siphon"} & set(cell):
        for row, col in CELLS:
            state["cells"][row][col].pop("exit", None)
        cell["exit"] = True
    else:
        state["exit"] = list(rng.choice(CELLS))


CHANGES = [
    _be_equipped,
    _be_equipped,
    _be_equipped,
    _fare,
    _stand_elsewhere,
    _add_enemies,
    _add_transmissions,
    _few_entities,
    _siphon_cells,
    _add_blocks,
    _leave_few_cells,
    _set_flags,
    _hurry,
    _remember,
    _displace_exit,
]
