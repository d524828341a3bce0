"""`scenario.blank`: a position in one line."""

import jax
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.actions import ACTION_NAMES, PROGRAM_NAMES

pytestmark = pytest.mark.quick

blank, from_dict, to_dict = hm.scenario.blank, hm.scenario.from_dict, hm.scenario.to_dict


def test_a_player_and_one_virus():
    state = from_dict(blank(player=(3, 3), enemies=[("virus", 3, 5)]))
    after, outcome = hm.step(state, ACTION_NAMES.index("right"), jax.random.key(0))
    (enemy,) = to_dict(after)["enemies"]
    assert (enemy["row"], enemy["col"], enemy["hp"], enemy["stunned"]) == (3, 5, 1, False)  # hit; its turn was skipped
    assert not outcome.terminated


def test_what_is_given_is_there():
    scenario = blank(
        (2, 1), exit=(0, 0), stage=5, hp=2, attack=3, credits=4, energy=5, data_siphons=6, score=7,
        programs=["row", "undo"],
        enemies=[{"type": "daemon", "row": 1, "col": 1, "hp": 2, "stunned": True}],
        transmissions=[("glitch", 4, 4)],
        cells={
            (3, 3): {"block": {"kind": "data", "points": 6}},
            (3, 4): {"block": {"kind": "program", "program": "hack", "spawn": 4}},
            (5, 5): {"data_siphon": True, "credits": 2},
        },
    )  # fmt: skip
    assert to_dict(from_dict(scenario)) == scenario | {
        "programs": sorted(scenario["programs"], key=PROGRAM_NAMES.index)
    }
    assert scenario["cells"][3][3]["block"] == {"kind": "data", "points": 6, "spawn": 6, "hidden": False}
    assert scenario["cells"][0][0] == {"exit": True}
    assert scenario["schedule"] == {"interval": 8, "next_turn": 8}


def test_a_board_without_an_exit_has_to_be_asked_for():
    def exits(scenario):
        return sum("exit" in cell for row in scenario["cells"] for cell in row)

    assert exits(blank()) == 1
    assert exits(blank(exit=None)) == 0
    from_dict(blank(exit=None))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"player": (6, 0)}, r"player is at \(6, 0\), expected a row and a column from 0 to 5"),
        ({"player": 3}, r"player is at 3, expected \(row, col\)"),
        ({"exit": (0, -1)}, r"exit is at \(0, -1\)"),
        ({"cells": {(0, 9): {}}}, r"a cell is at \(0, 9\)"),
        (
            {"player": (1, 2), "cells": {(1, 2): {"block": {"kind": "data", "points": 5}}}},
            r"at \(1, 2\), where a block is",
        ),
        ({"stage": 9}, r"stage is 9, expected 1 to 8"),
        ({"enemies": ["virus"]}, r"an enemy is 'virus', expected \(type, row, col\)"),
        ({"transmissions": [{"type": "virus"}]}, r"a transmission is .* expected \(type, row, col\)"),
    ],
)
def test_mistakes(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        blank(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"hp": 4}, r"player\.hp is 4, expected 0 to 3"),
        ({"programs": ["fly"]}, r"programs\[0\] is 'fly', expected one of push"),
        ({"enemies": [("dragon", 0, 0)]}, r"enemies\[0\]\.type is 'dragon'"),
        ({"cells": {(5, 5): {"data_siphon": True}}}, r"cells\[5\]\[5\] has exit and data_siphon"),
    ],
)
def test_what_from_dict_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_dict(blank(**arguments))
