"""Scenarios are taken as they are or refused with the place, the value and what was expected (R12)."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, MAX_ENTITIES
from tests.game.conformance import load

pytestmark = pytest.mark.quick

RICH = max((record["state"] for record in load("corners")), key=lambda state: len(json.dumps(state)))
ENEMY = {"type": "virus", "row": 1, "col": 1, "hp": 2, "disabled": 0, "stunned": False}
FLAGS = {"from_siphon": False, "scheduled": False}
BLOCK = {"kind": "data", "points": 3, "spawn": 3, "hidden": False}


def put(place, value):
    """A change of a scenario: sets the value at a place such as ("cells", 2, 3, "block")."""

    def change(scenario):
        target = scenario
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = value

    return change


def drop(key):
    return lambda scenario: scenario.pop(key)


REFUSED = [
    (put(("cells", 2, 3), {"block": BLOCK | {"points": 12}}), r"cells\[2\]\[3\]\.block\.points is 12, expected 1 to 9"),
    (
        put(("cells", 0, 0), {"block": BLOCK, "exit": True}),
        r"cells\[0\]\[0\] has block and exit, expected at most one content",
    ),
    (
        put(("cells", 0, 0), {"credits": 1, "energy": 1}),
        r"cells\[0\]\[0\] has credits and energy, expected at most one",
    ),
    (put(("cells", 0, 0), {"credit": 1}), r"cells\[0\]\[0\] has the unknown key 'credit', expected block, exit"),
    (put(("cells", 0, 0), {"exit": False}), r"cells\[0\]\[0\]\.exit is False, expected true, or the key left out"),
    (put(("cells", 0, 0), {"block": {"kind": "wall"}}), r"cells\[0\]\[0\]\.block is .*expected an object whose kind"),
    (put(("cells", 4), []), r"cells\[4\] has 0 entries, expected 6"),
    (put(("cells",), {}), r"cells is \{\}, expected a list"),
    (put(("programs",), ["push", "fly"]), r"programs\[1\] is 'fly', expected one of push, pull"),
    (put(("programs",), ["push", "push"]), r"programs is .*expected each program at most once"),
    (put(("enemies",), [(ENEMY | FLAGS)] * (MAX_ENTITIES + 1)), rf"are {MAX_ENTITIES + 1} together.*at most 36"),
    (put(("enemies",), [ENEMY]), r"enemies\[0\] has no key 'from_siphon'"),
    (put(("enemies",), [ENEMY | FLAGS | {"hp": 3}]), r"enemies\[0\]\.hp is 3, expected 1 to 2"),
    (put(("enemies",), [ENEMY | FLAGS | {"type": "worm"}]), r"enemies\[0\]\.type is 'worm', expected one of virus"),
    (put(("enemies",), [ENEMY | FLAGS | {"row": 6}]), r"enemies\[0\]\.row is 6, expected 0 to 5"),
    (put(("player", "hp"), 4), r"player\.hp is 4, expected 0 to 3"),
    (put(("player", "credits"), -1), r"player\.credits is -1, expected an integer from 0 to 1000000000"),
    (put(("player", "score"), 2**31 - 1), r"player\.score is 2147483647, expected an integer from 0 to 1000000000"),
    (put(("cells", 5), [{"exit": True}] * 6), r"cells has exits at \[.*\[5, 0\], \[5, 1\].*, expected at most one"),
    (put(("player", "credits"), True), r"player\.credits is True, expected an integer"),
    (put(("player", "row"), 2.0), r"player\.row is 2\.0, expected 0 to 5"),
    (put(("stage",), 9), r"stage is 9, expected 1 to 8"),
    (put(("show",), 1), r"show is 1, expected true or false"),
    (put(("exit",), [0]), r"exit has 1 entries, expected 2"),
    (put(("schedule",), {"interval": 4}), r"schedule has no key 'next_turn'"),
    (put(("history", 0, "player", "hp"), 7), r"history\[0\]\.player\.hp is 7, expected 0 to 3"),
    (put(("history", 0, "enemies"), [ENEMY | FLAGS]), r"history\[0\]\.enemies\[0\] has the unknown key 'from_siphon'"),
    (put(("colour",), "red"), r"the scenario has the unknown key 'colour'"),
    (drop("turn"), r"the scenario has no key 'turn'"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refused_with_place_value_and_expectation(change, message):
    scenario = copy.deepcopy(RICH)
    change(scenario)
    with pytest.raises(ValueError, match=message):
        hm.scenario.from_dict(scenario)


def test_what_is_not_a_dictionary_is_refused():
    with pytest.raises(ValueError, match=r"the scenario is \[\], expected an object with the keys"):
        hm.scenario.from_dict([])


def test_export_is_json_and_comes_back_the_same():
    state = hm.scenario.from_dict(RICH)
    exported = json.loads(json.dumps(hm.scenario.to_dict(state)))
    assert exported == hm.scenario.to_dict(hm.scenario.from_dict(exported))
    for key, value in RICH.items():
        assert exported[key] == value, key
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(hm.scenario.from_dict(exported)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("undo_depth", [1, 4, None, 70])
def test_the_newest_snapshots_of_a_long_history_are_kept(undo_depth):
    given, depth = ((), DEFAULT_UNDO_DEPTH) if undo_depth is None else ((undo_depth,), undo_depth)
    scenario = copy.deepcopy(RICH)
    for length in (0, depth - 1, depth, depth + 3):
        scenario["history"] = [RICH["history"][0] | {"turn": turn} for turn in range(length)]
        state = hm.scenario.from_dict(scenario, *given)
        assert (state.undo_depth, int(state.history_length)) == (depth, min(length, depth))
        assert state.history.shape == (depth, 84)
        exported = hm.scenario.to_dict(state)
        assert [entry["turn"] for entry in exported["history"]] == list(range(length))[-depth:]


def test_the_oldest_snapshot_lies_in_the_row_of_its_turn_and_what_is_free_is_zero():
    """Equal games are equal arrays, and a row does not depend on those around it."""
    scenario = copy.deepcopy(RICH)
    scenario["history"] = [RICH["history"][0] | {"turn": 13 + 2 * i, "calm": i == 1} for i in range(3)]
    rows = np.roll(np.asarray(hm.scenario.from_dict(scenario, 5).history), -13 % 5, axis=0)
    for i, entry in enumerate(scenario["history"]):
        alone = hm.scenario.from_dict(scenario | {"history": [entry]}, 1)
        np.testing.assert_array_equal(rows[i], alone.history[0])
    assert len(np.unique(rows[:3], axis=0)) == 3
    assert not rows[3:].any()


@pytest.mark.parametrize("undo_depth", [0, -1, 2.0, True, "4"])
@pytest.mark.parametrize(
    "make", [lambda depth: hm.scenario.from_dict(RICH, depth), lambda depth: hm.reset(jax.random.key(0), depth)]
)
def test_a_depth_that_is_none_is_refused(make, undo_depth):
    with pytest.raises(ValueError, match=rf"undo_depth is {undo_depth!r}, expected .* an integer of at least 1"):
        make(undo_depth)


def test_any_number_of_pending_spawns_fills_the_board_and_no_more():
    scenario = hm.scenario.to_dict(hm.reset(jax.random.key(0)))
    scenario["player"]["data_siphons"] = 1
    scenario["pending_spawns"] = 10**9
    blocks = sum("block" in cell for row in scenario["cells"] for cell in row)
    state, _ = hm.step(hm.scenario.from_dict(scenario), jnp.int32(4), jax.random.key(1))
    after = hm.scenario.to_dict(state)
    cells = {(entity["row"], entity["col"]) for entity in after["enemies"] + after["transmissions"]}
    assert len(cells) == len(after["enemies"]) + len(after["transmissions"]) == min(36 - blocks - 1, MAX_ENTITIES)
    assert after["pending_spawns"] == 0


def test_a_batch_is_not_exported():
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), hm.scenario.from_dict(RICH))
    with pytest.raises(ValueError, match=r"the state is a batch of shape \(2,\), expected one game"):
        hm.scenario.to_dict(batch)
