"""The enemy turn (R6)."""

from random import Random

from .board import Entity, Position, State, clone, distances, has_block, manhattan, neighbours, position, positions
from .stage import spawn
from .tables import FULL_HP

SNAPSHOT_KEYS = ["turn", "player", "programs", "enemies", "transmissions", "cells", "show", "calm", "atk_plus_uses"]
UNRECORDED_FLAGS = ["from_siphon", "scheduled"]


def enemy_turn(state: State, rng: Random, undo_depth: int | None) -> None:
    """What follows a direction, a siphon and WAIT."""
    if state["step"]:
        state["step"] = False
        return
    state["turn"] += 1
    arrive(state)
    move_enemies(state, rng)
    spawn_scheduled(state, rng)
    for _ in range(state["pending_spawns"]):
        spawn(state, rng, from_siphon=True)
    state["pending_spawns"] = 0
    for enemy in state["enemies"]:
        enemy["disabled"] = max(0, enemy["disabled"] - 1)
        enemy["stunned"] = False
    state["history"] = kept([*state["history"], snapshot(state)], undo_depth)


def arrive(state: State) -> None:
    """Transmissions that are due become enemies; the others count down (R6.1)."""
    waiting = []
    for transmission in state["transmissions"]:
        if transmission["turns"] <= 1:
            enemy = {key: value for key, value in transmission.items() if key != "turns"}
            state["enemies"].append(enemy | {"hp": FULL_HP[enemy["type"]], "disabled": 1, "stunned": False})
        else:
            waiting.append(transmission | {"turns": transmission["turns"] - 1})
    state["transmissions"] = waiting


def move_enemies(state: State, rng: Random) -> None:
    """R6.2: one round, or two if there is a virus, each in a random order."""
    virus_present = any(enemy["type"] == "virus" for enemy in state["enemies"])
    movers = [enemy for enemy in state["enemies"] if not enemy["disabled"] and not enemy["stunned"]]
    for round_number in (1, 2) if virus_present else (1,):
        if round_number == 2:
            movers = [enemy for enemy in movers if enemy["type"] == "virus"]
        waiting, movers = movers, []
        while waiting:
            index = rng.choice(range(len(waiting)))
            enemy = waiting.pop(index)
            attacked = act(state, enemy)
            if not attacked:
                movers.append(enemy)


def act(state: State, enemy: Entity) -> bool:
    """One enemy attacks (true) or moves (false)."""
    player = state["player"]
    if manhattan(position(enemy), position(player)) == 1:
        player["hp"] = max(0, player["hp"] - 1)
        return True
    enemy["row"], enemy["col"] = destination(state, enemy)
    return False


def destination(state: State, enemy: Entity) -> Position:
    """Where an enemy that does not attack goes (R6.2, 1 to 3)."""
    here, player = position(enemy), position(state["player"])
    others = [other for other in state["enemies"] if other is not enemy] + state["transmissions"]
    taken = positions(others)

    def walkable(at: Position) -> bool:
        return enemy["type"] == "glitch" or not has_block(state, at)

    if here != player and walkable(player):
        towards = first_step(here, player, lambda at: walkable(at) and at not in taken)
        if towards:
            return towards
        towards = first_step(here, player, walkable)
        if towards and towards not in taken:
            return towards
    free = [at for at in neighbours(here) if walkable(at) and at not in taken]
    return min(free, key=lambda at: manhattan(at, player), default=here)


def first_step(here: Position, player: Position, enters) -> Position | None:
    """The first neighbour in direction order that lies on a shortest path to the player."""
    found = distances(player, lambda at: at == here or enters(at))
    if here not in found:
        return None
    return next(at for at in neighbours(here) if found.get(at) == found[here] - 1)


def spawn_scheduled(state: State, rng: Random) -> None:
    """The scheduled task (R6.3)."""
    schedule = state["schedule"]
    if not state["calm"] and schedule["interval"] > 0 and state["turn"] >= schedule["next_turn"]:
        spawn(state, rng, scheduled=True)
        schedule["next_turn"] = state["turn"] + schedule["interval"]


def snapshot(state: State) -> State:
    """What UNDO brings back (R8.3), as an entry of the history (R12)."""
    taken = clone({key: state[key] for key in SNAPSHOT_KEYS})
    for entity in taken["enemies"] + taken["transmissions"]:
        for flag in UNRECORDED_FLAGS:
            del entity[flag]
    return taken


def kept(history: list[State], undo_depth: int | None) -> list[State]:
    """What is kept of a history: the newest snapshots, or with no depth all of them, as in the original (R8.3)."""
    return history if undo_depth is None else history[max(0, len(history) - undo_depth) :]


def restore(state: State) -> None:
    """Take the newest snapshot off the history and bring it back."""
    *state["history"], newest = state["history"]
    state.update(clone(newest))
    for entity in state["enemies"] + state["transmissions"]:
        entity.update(dict.fromkeys(UNRECORDED_FLAGS, False))
