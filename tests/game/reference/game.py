"""One action of the game, put together (R4, R5, R9)."""

from dataclasses import dataclass
from random import Random

from .board import (
    Position,
    State,
    cell_at,
    clone,
    content_removed,
    has_block,
    located,
    on_board,
    plus,
    position,
    shifted,
)
from .programs import APPLICABLE, damage, effect, kill_count, without
from .rewards import reward_parts
from .stage import complete_stage
from .tables import DIRECTIONS, FIRST_PROGRAM, NUM_ACTIONS, PROGRAM_NAMES, PROGRAMS, REWARD_PARTS, SIPHON
from .turn import enemy_turn


@dataclass(frozen=True)
class Outcome:
    """What an action brought, apart from the new state."""

    reward_parts: dict[str, float]
    terminated: bool
    won: bool
    died: bool
    invalid: bool
    stage_completed: bool

    @property
    def reward(self) -> float:
        return sum(self.reward_parts.values())


def valid_actions(state: State) -> list[int]:
    """The actions that are valid in a state, ascending (R4.1)."""
    return [action for action in range(NUM_ACTIONS) if is_valid(state, action)]


def is_valid(state: State, action: int) -> bool:
    player = state["player"]
    if action not in range(NUM_ACTIONS):
        return False
    if action < SIPHON:
        at = shifted(position(player), DIRECTIONS[action])
        return on_board(at) and (not has_block(state, at) or bool(located(state["enemies"], at)))
    if action == SIPHON:
        return player["data_siphons"] > 0
    name = PROGRAM_NAMES[action - FIRST_PROGRAM]
    cost = PROGRAMS[name]
    affordable = player["credits"] >= cost.credits and player["energy"] >= cost.energy
    return name in state["programs"] and affordable and APPLICABLE[name](state)


def step(state: State, action: int, rng: Random, undo_depth: int | None = None) -> tuple[State, Outcome]:
    """Carry out one action; the given state is left as it is.

    The history has no limit, as in the original, unless a depth is given (R8.3).
    """
    if not is_valid(state, action):
        return state, Outcome(dict.fromkeys(REWARD_PARTS, 0.0), True, False, False, True, False)
    new = clone(state)
    kills = 0
    picked_up = completed = won = died = False
    if action < SIPHON:
        name = "move"
        kills, picked_up, completed = go(new, DIRECTIONS[action])
    elif action == SIPHON:
        name = "siphon"
        siphon(new)
    else:
        name = PROGRAM_NAMES[action - FIRST_PROGRAM]
        new["player"]["credits"] -= PROGRAMS[name].credits
        new["player"]["energy"] -= PROGRAMS[name].energy
        kills = effect(new, name, rng)
        completed = name == "warp" and position(new["player"]) == tuple(new["exit"])
    if completed:
        won = complete_stage(new, rng)
    elif name in ("move", "siphon", "wait"):
        enemy_turn(new, rng, undo_depth)
        died = new["player"]["hp"] == 0
    parts = reward_parts(state, new, name, kills=kills, picked_up=picked_up, completed=completed, won=won, died=died)
    return new, Outcome(parts, won or died, won, died, False, completed)


def go(state: State, direction: tuple[int, int]) -> tuple[int, bool, bool]:
    """A direction (R4.3): kills, whether a data siphon was picked up, whether the exit was reached."""
    player = state["player"]
    at = shifted(position(player), direction)
    kills = strike(state, at, direction)
    if kills is not None:
        return kills, False, False
    player["row"], player["col"] = at
    cell = cell_at(state, at)
    picked_up = "data_siphon" in cell
    if picked_up:
        content_removed(cell)
        player["data_siphons"] += 1
    return 0, picked_up, "exit" in cell


def strike(state: State, at: Position, direction: tuple[int, int]) -> int | None:
    """Hit the first target from a cell on along a direction: the number of kills, or None without a target."""
    while on_board(at):
        transmissions = located(state["transmissions"], at)
        if transmissions:
            state["transmissions"] = without(state["transmissions"], transmissions[:1])
            return kill_count(transmissions[:1])
        enemies = located(state["enemies"], at)
        if enemies:
            return damage(state, enemies[:1], state["player"]["attack"])
        if has_block(state, at):
            return None
        at = shifted(at, direction)
    return None


def siphon(state: State) -> None:
    """R5."""
    player = state["player"]
    player["data_siphons"] -= 1
    here = position(player)
    cell_at(state, here)["siphon_center"] = True
    for cell in (cell_at(state, at) for at in plus(here)):
        if "siphoned" in cell:
            continue
        block = cell.get("block")
        if block is None:
            player["credits"] += cell.pop("credits", 0)
            player["energy"] += cell.pop("energy", 0)
        else:
            if block["kind"] == "data":
                player["score"] += block["points"]
            elif block["program"] not in state["programs"]:
                state["programs"] = sorted([*state["programs"], block["program"]], key=PROGRAM_NAMES.index)
            state["pending_spawns"] += block["spawn"]
            block["spawn"] = 0
            block["hidden"] = False
        cell["siphoned"] = True
    schedule = state["schedule"]
    schedule["interval"] = max(4, schedule["interval"] - 1)
    schedule["next_turn"] += 5
