"""Generated boards (R2, R3, R6.4) against the rules, the known probabilities and the recorded boards.

With fixed keys the tests are deterministic. The significance is low enough for a right generator;
`test_wrong_generators_are_noticed` shows that wrong ones fall far below it.
"""

from collections import Counter
from random import Random

import jax
import numpy as np
import pytest

from tests.game import board_statistics as statistics
from tests.game import bulk, conformance, reference
from tests.game.reference import stage as reference_stage
from tests.game.reference.board import position
from tests.game.reference.tables import CORNERS

SIGNIFICANCE = 1e-5
NEW_GAMES = 2000  # as many of wrong generators are noticed
RECORDED_TIMES = 2  # later stages: this many boards of ours for each recorded one
ENTRIES = {(0, 0): 2, (0, 5): 3, (5, 0): 2, (5, 5): 3}  # left or right, into that corner


@pytest.fixture(scope="module")
def recorded():
    boards = {stage: [] for stage in range(1, 9)}
    for board in conformance.load("stages"):
        boards[board["stage"]].append(board)
    return boards


@pytest.fixture(scope="module")
def generated(recorded):
    """Boards of the game by stage; in later stages the player's corner is as often each as it is in the recordings."""
    keys = jax.random.split(jax.random.key(7), NEW_GAMES)
    boards = {1: bulk.dictionaries(bulk.resets(keys))}
    for stage in range(2, 9):
        corners = [position(board["player"]) for board in recorded[stage]] * RECORDED_TIMES
        states = bulk.stack(before_exit(stage - 1, corner) for corner in CORNERS)
        start = bulk.take(states, np.array([CORNERS.index(corner) for corner in corners]))
        actions = np.array([ENTRIES[corner] for corner in corners])
        keys = jax.random.split(jax.random.key(stage), len(corners))
        states, outcome = bulk.steps(start, actions, keys)
        assert outcome.stage_completed.all()
        boards[stage] = bulk.dictionaries(states)
    return boards


def before_exit(stage, corner):
    """A state of a stage without entities, one step away from the exit in the given corner."""
    state = reference.reset(Random(0))
    cells = [[{} for _ in range(6)] for _ in range(6)]
    cells[corner[0]][corner[1]] = {"exit": True}
    return state | {
        "stage": stage,
        "exit": list(corner),
        "cells": cells,
        "player": state["player"] | {"row": corner[0], "col": 1 if corner[1] == 0 else 4},
        "transmissions": [],
    }


def reference_boards(stage, count=1000):
    rng = Random(stage)
    if stage == 1:
        return [reference.reset(rng) for _ in range(count)]
    starts = [(before_exit(stage - 1, corner), ENTRIES[corner]) for corner in CORNERS]
    return [reference.step(*rng.choice(starts), rng)[0] for _ in range(count)]


def failures(boards, recorded):
    """What is wrong with the boards of one stage: broken rules, and features with an unlikely distribution."""
    found = Counter(rule for board in boards for rule in statistics.broken_rules(board))
    significances = {"first transmission": statistics.first_spawn_significance(boards)}
    kinds = [statistics.features] + [statistics.new_game_features] * (boards[0]["stage"] == 1)
    for features in kinds:
        ours, theirs = statistics.counted(boards, features), statistics.counted(recorded, features)
        assert ours.keys() == theirs.keys()
        for name in ours:
            significances[f"{name}, against the recordings"] = statistics.homogeneity(ours[name], theirs[name])
            # The player's corner is the recordings' in later stages, and with it the exit.
            if name in statistics.KNOWN and (boards[0]["stage"] == 1 or name != "exit beside the player"):
                significances[name] = statistics.goodness_of_fit(ours[name], statistics.KNOWN[name])
    return found | {name: value for name, value in significances.items() if value < SIGNIFICANCE}


@pytest.mark.parametrize("stage", range(1, 9))
def test_boards(generated, recorded, stage):
    assert failures(generated[stage], recorded[stage]) == {}


@pytest.mark.parametrize("stage", range(1, 9))
def test_boards_of_the_reference(recorded, stage):
    assert failures(reference_boards(stage), recorded[stage]) == {}


CROWD = [(0, 2), (1, 1), (1, 4), (2, 0), (2, 3), (2, 5), (3, 2), (4, 1), (4, 4), (5, 2), (5, 3), (0, 5), (3, 3), (3, 4)]


def test_boards_around_entities():
    """Entities outlive a stage: no blocks and no transmissions on their cells, resources under them (R3)."""
    start = before_exit(3, (0, 0))
    enemy = {"type": "glitch", "hp": 1, "disabled": 0, "stunned": False, "from_siphon": True, "scheduled": True}
    start["enemies"] = [enemy | {"row": row, "col": col} for row, col in CROWD]
    action = ENTRIES[0, 0]
    rng = Random(0)
    expected = [reference.step(start, action, rng)[0] for _ in range(2000)]
    keys = jax.random.split(jax.random.key(5), 1000)
    states, _ = bulk.steps(bulk.stack([start] * len(keys)), np.full(len(keys), action), keys)
    boards = bulk.dictionaries(states)
    for board in boards:
        assert board["enemies"] == start["enemies"]
        entities = statistics.positions(board["enemies"] + board["transmissions"])
        assert len(entities) == len(CROWD) + 4
        assert statistics.positions(board["enemies"]).isdisjoint(statistics.block_positions(board))
        for row, col in entities - {tuple(board["exit"])}:
            assert {"credits", "energy"} & set(board["cells"][row][col])
    ours, theirs = (statistics.counted(sample, statistics.features) for sample in (boards, expected))
    unlikely = {name: statistics.homogeneity(ours[name], theirs[name]) for name in ours}
    assert {name: value for name, value in unlikely.items() if value < SIGNIFICANCE} == {}


def any_layout(blocks, exit_at):
    return True


def no_enclosed_block_only(blocks, exit_at):
    return not any(blocks.issuperset(reference_stage.neighbours(at)) for at in blocks)


def passing_the_exit(blocks, exit_at):
    return RIGHT_LAYOUT_ACCEPTED(blocks, (0, 0))


def program_drawn_with_replacement(unused, rng):
    return RIGHT_RANDOM_BLOCK(list(unused), rng)


def hidden_too_often(unused, rng):
    return RIGHT_RANDOM_BLOCK(unused, rng) | {"hidden": rng.random() < 0.15}


def data_too_often(unused, rng):
    block = RIGHT_RANDOM_BLOCK(unused, rng)
    return RIGHT_RANDOM_BLOCK(unused, rng) if block["kind"] == "program" and rng.random() < 0.2 else block


def count_drawn_anew(state, exit_at, rng):
    """A refused layout gets another count."""
    places = [at for at in reference_stage.CELLS if at not in CORNERS]
    layout = None
    while layout is None or not RIGHT_LAYOUT_ACCEPTED(set(layout), exit_at):
        layout = rng.sample(places, rng.choice(range(5, 12)))
    unused = list(reference_stage.PROGRAM_NAMES)
    for at in layout:
        reference_stage.cell_at(state, at)["block"] = RIGHT_RANDOM_BLOCK(unused, rng)


def nothing_in_line_of_fire(state, at):
    return False


RIGHT_LAYOUT_ACCEPTED = reference_stage.layout_accepted
RIGHT_RANDOM_BLOCK = reference_stage.random_block
WRONG = [
    ("layout_accepted", any_layout),
    ("layout_accepted", no_enclosed_block_only),
    ("layout_accepted", passing_the_exit),
    ("random_block", program_drawn_with_replacement),
    ("random_block", hidden_too_often),
    ("random_block", data_too_often),
    ("place_blocks", count_drawn_anew),
    ("in_line_of_fire", nothing_in_line_of_fire),
]


@pytest.mark.parametrize(("rule", "wrong"), WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_wrong_generators_are_noticed(recorded, monkeypatch, rule, wrong):
    monkeypatch.setattr(reference_stage, rule, wrong)
    boards = reference_boards(1, count=NEW_GAMES)
    monkeypatch.undo()
    assert failures(boards, recorded[1])
