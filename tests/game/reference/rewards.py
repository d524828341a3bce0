"""The 15 reward parts (R10)."""

from .board import Position, State, cell_at, exit_distance, has_block, manhattan, neighbours, plus, position
from .tables import CELLS, LAST_STAGE, REWARD_PARTS, STAGE_REWARDS


def reward_parts(
    old: State, new: State, action: str, *, kills: int, picked_up: bool, completed: bool, won: bool, died: bool
) -> dict[str, float]:
    """The parts for an action from `old` to `new`; `action` is "move", "siphon" or a program's name."""
    before, after = old["player"], new["player"]
    parts = dict.fromkeys(REWARD_PARTS, 0.0)
    parts["step_penalty"] = -0.01
    parts["score_gain"] = 0.5 * (after["score"] - before["score"])
    parts["kills"] = 0.3 * kills
    parts["data_siphon"] = float(picked_up)
    parts["damage_penalty"] = -1.0 * max(0, before["hp"] - after["hp"])
    parts["hp_recovery"] = 1.0 * max(0, after["hp"] - before["hp"])
    parts["resource_gain"] = 0.05 * (after["credits"] - before["credits"] + after["energy"] - before["energy"])
    if completed:
        parts["stage_completion"] = float(STAGE_REWARDS[min(old["stage"], LAST_STAGE - 1) - 1])
        parts["resource_holding"] = 0.01 * (after["credits"] + after["energy"])
    if not died:
        parts["distance_shaping"] = 0.05 * max(0, exit_distance(old) - (0 if completed else exit_distance(new)))
    if won:
        parts["victory"] = 500.0 + 100.0 * after["score"]
    if died:
        parts["death_penalty"] = -0.5 * sum(STAGE_REWARDS[: new["stage"] - 1])
        here = position(after)
        if any(enemy["from_siphon"] and manhattan(position(enemy), here) == 1 for enemy in new["enemies"]):
            parts["siphon_death_penalty"] = -10.0
    if action == "reset" and before["hp"] == 2:
        parts["program_waste"] = -0.3
    if action == "siphon":
        parts["siphon_quality"] = siphon_quality(old)
    return parts


def siphon_yield(state: State, centre: Position) -> tuple[int, int, list[int], set[str]]:
    """Credits, energy, sorted data points and new programs that a siphon at a cell would give (R10.1)."""
    credits = energy = 0
    data: list[int] = []
    programs: set[str] = set()
    if has_block(state, centre):
        return credits, energy, data, programs
    for cell in (cell_at(state, at) for at in plus(centre)):
        if "siphoned" in cell:
            continue
        block = cell.get("block")
        if block is None:
            credits += cell.get("credits", 0)
            energy += cell.get("energy", 0)
        elif block["kind"] == "data":
            data.append(block["points"])
        elif block["program"] not in state["programs"]:
            programs.add(block["program"])
    return credits, energy, sorted(data), programs


def siphon_quality(state: State) -> float:
    """The penalty for what a siphon from a better place would have given in addition."""
    here = position(state["player"])
    credits, energy, data, programs = siphon_yield(state, here)
    candidates = [at for at in CELLS if not has_block(state, at)]
    if data or programs:
        wanted = {at for at in neighbours(here) if has_block(state, at) and "siphoned" not in cell_at(state, at)}
        candidates = [at for at in candidates if wanted.issubset(plus(at))]
    most_credits, most_energy = credits, energy
    for at in candidates:
        other_credits, other_energy, other_data, other_programs = siphon_yield(state, at)
        at_least = other_credits >= credits and other_energy >= energy
        if (other_data, other_programs) == (data, programs) and at_least:
            most_credits = max(most_credits, other_credits)
            most_energy = max(most_energy, other_energy)
    return -0.5 * (0.05 * (most_credits - credits) + 0.05 * (most_energy - energy))
