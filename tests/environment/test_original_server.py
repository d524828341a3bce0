"""The server in the original's place: recorded sessions, boards that are set, mistakes, and the process."""

import collections
import dataclasses
import json
import random
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hackmatrix_core.environment.original import server as original_server
from hackmatrix_core.environment.original.server import Server
from hackmatrix_core.game import entity, history
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH, MAX_ENTITIES, NUM_CELLS
from tests import programs
from tests.environment.original_recordings import canonical, forms, leaves, sessions

COMMAND = [sys.executable, "-c", "import sys; from hackmatrix_command import headless; sys.exit(headless())"]
"""What the installed script does."""
VIRUS = {"type": "virus", "row": 0, "col": 1, "hp": 1}


@pytest.fixture(scope="module")
def server():
    return Server(seed=0)


def ask(server, action, **rest):
    return json.loads(server.answer(json.dumps({"action": action, **rest})))


def set_state(server, row, col, **state):
    """The answer to a board that was set, with the player there; `player` may say more of it."""
    player = {"row": row, "col": col} | state.pop("player", {})
    return ask(server, "setState", state={"player": player, **state})


def step(server, *path):
    """The observation after these actions."""
    return [ask(server, "step", actionIndex=action) for action in path][-1]["observation"]


def cell(observation, row, col):
    """What is on a cell."""
    always = ("row", "col", "isExit", "isDataSiphon", "siphonCenter")
    return {key: value for key, value in observation["cells"][row][col].items() if key not in always}


def test_wrong_commands_and_plain_questions_are_answered_as_recorded(server):
    (session,) = sessions("errors")
    fresh, is_new_game = Server(seed=0), False
    for sent, received in session:
        answer = fresh.answer(sent)
        is_new_game = (is_new_game or sent == '{"action": "reset"}') and '"col": 1' not in sent
        if is_new_game and "error" not in answer:
            assert json.loads(answer).keys() == json.loads(received).keys()
        else:
            assert canonical(answer) == canonical(received), sent


def test_what_ends_the_original_gets_an_error_and_the_game_goes_on():
    for session in sessions("crash"):
        fresh = Server(seed=0)
        for sent, received in session:
            ends = received is None and '"step"' in sent
            assert ("error" in json.loads(fresh.answer(sent))) == ends, sent


@pytest.mark.parametrize("boards", [slice(0, None, 5), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_boards_that_were_set_are_answered_as_recorded(server, boards):
    """Each recorded answer is one that the server gives, if not at once, then by other chance."""
    counts = collections.Counter()
    for session in sessions("set")[boards]:
        kept = [(server._state, None, [])]  # games that went as the recorded one: what is hidden may differ
        for sent, received in session:
            expected, answers, matching = canonical(received), [], []
            kept = jax.device_get(kept)
            while len(matching) < 12 and len(answers) < 400:
                server._state, server._game, server._owned = kept[len(answers) % len(kept)]
                answers.append(server.answer(sent))
                if canonical(answers[-1]) == expected:
                    matching.append((server._state, server._game, server._owned))
            counts["answers"] += 1
            counts["not found"] += not matching
            if not matching:  # a new board, or many spawns: too many outcomes to find the one
                assert set.intersection(*map(leaves, answers)) <= leaves(received), sent
                break
            kept = matching
    assert counts["not found"] < 0.01 * counts["answers"]


def test_answers_have_the_form_of_the_recorded_ones(server):
    """Keys and types, over games with all programs, some of them after their end."""
    recorded = {form for session in sessions("errors", "set", "game") for _, line in session for form in forms(line)}
    player = {"credits": 90, "energy": 90, "dataSiphons": 9}
    choice, seen = random.Random(0), set()
    for game in range(40):
        if game % 4:
            ask(server, "reset")
        else:
            set_state(server, 1, 1, player=player, ownedPrograms=list(range(5, 28)), stage=1 + game // 5)
        for _ in range(25):
            valid = ask(server, "getValidActions")["validActions"]
            for command in (f'"step","actionIndex":{choice.choice(valid or [4])}', '"getInternalState"'):
                seen |= forms(server.answer(f'{{"action":{command}}}'))
    assert seen <= recorded
    assert {form for form in recorded if "block" in form[0] or "breakdown" in form[0]} <= seen


def without_what_was_seen(state):
    """A state with the depth of history that all tests share, and without what the server alone notes in it."""
    state = history.recent(state, DEFAULT_UNDO_DEPTH)
    unseen = ~np.uint32(entity.SEEN.mask)
    columns = state.history.at[:, NUM_CELLS : NUM_CELLS + MAX_ENTITIES]
    return dataclasses.replace(state, entities=state.entities & unseen, history=columns.set(columns.get() & unseen))


def test_games_go_as_the_rules_say(server):
    """Against `hackmatrix_core.step`, by the same chance."""
    choice, taken = np.random.default_rng(3), []
    for i in range(programs.FEW):
        if i % 16 == 0:
            enemies = [VIRUS | {"row": row, "type": kind} for row, kind in enumerate(("cryptog", "glitch", "daemon"))]
            player = {"credits": 40, "energy": 40, "dataSiphons": 2}
            state = {"player": player, "enemies": enemies, "ownedPrograms": list(range(5, 28)), "stage": 1 + i // 16}
            set_state(server, 5, 4, **state)
        before = jax.device_get(server._state)
        valid = ask(server, "getValidActions")["validActions"]
        action = np.int32(3 if i % 32 == 0 else choice.choice(valid))  # 3: into the exit
        seed = choice.integers(2**32, size=2, dtype=np.uint32)
        server._state, report = original_server._act(before, action, seed)
        server._shown(np.asarray(report).tolist(), server._owned)
        taken.append((before, action, seed, server._state))
    before, action, seed, after = jax.tree.map(lambda *leaves: jnp.stack(leaves), *taken)
    before, after = jax.vmap(without_what_was_seen)(before), jax.vmap(without_what_was_seen)(after)
    expected, outcome = programs.step(before, action, jax.random.wrap_key_data(seed))
    jax.tree.map(np.testing.assert_array_equal, after, expected)
    assert outcome.stage_completed.any()
    assert len(set(action.tolist())) > 15


def test_what_set_state_leaves_out_has_the_defaults_of_the_original(server):
    seen = set_state(
        server, 2, 3,
        blocks=[{"row": 1, "col": 1, "type": "data"}, {"row": 1, "col": 2, "type": "program", "programType": "WAIT"}],
        enemies=[{"type": "Daemon", "row": 2, "col": 5, "hp": 1}],
        transmissions=None,
    )["observation"]  # fmt: skip
    assert {key: value for key, value in seen.items() if key != "cells"} == {
        "playerRow": 2, "playerCol": 3, "playerHP": 3, "credits": 0, "energy": 0, "dataSiphons": 0, "baseAttack": 1,
        "score": 0, "stage": 1, "turn": 0, "showActivated": False, "scheduledTasksDisabled": False,
        "ownedPrograms": [], "cryptogHints": [],
    }  # fmt: skip
    block = {"isSiphoned": False, "blockType": "data", "points": 5, "transmissionSpawnCount": 5}
    assert cell(seen, 1, 1) == {"block": block}
    block |= {"blockType": "program", "points": 0, "transmissionSpawnCount": 2}
    assert cell(seen, 1, 2) == {"block": block | {"programType": "wait", "programActionIndex": 10}}
    enemy = {"type": "daemon", "hp": 1, "isStunned": False, "spawnedFromSiphon": False}
    assert cell(seen, 2, 5) == {"enemy": enemy}
    assert ask(server, "getInternalState") == {
        "turnCount": 0, "scheduledTaskInterval": 12, "nextScheduledTaskTurn": 12, "pendingSiphonTransmissions": 0,
        "enemies": [enemy | {"row": 2, "col": 5, "disabledTurns": 0, "isFromScheduledTask": False}],
    }  # fmt: skip
    exits = [(one["row"], one["col"]) for row in seen["cells"] for one in row if one["isExit"]]
    assert exits == [(5, 5)]


def test_of_what_lies_on_a_cell_the_last_counts(server):
    data, program = {"type": "data", "points": 3}, {"type": "program", "programType": "dbom", "siphoned": True}
    seen = set_state(
        server, 0, 0,
        blocks=[{"row": row, "col": 1} | block for row, block in ((1, data), (1, program), (2, data), (3, data))]
        + [{"row": 5, "col": 5} | data, {"row": 6, "col": 0} | data]
        + [{"row": 4, "col": 1, "type": "wall", "siphoned": True}],
        resources=[{"row": row, "col": 1, "credits": 2, "energy": 1} for row in (1, 2, 4)]
        + [{"row": 3, "col": 1, "dataSiphon": True, "credits": 9}, {"row": 5, "col": 5, "energy": 300 - 45}]
        + [{"row": 4, "col": 1, "energy": 3}, {"row": -1, "col": 0, "energy": 999}],
        enemies=[{"type": kind, "row": 4, "col": 4, "hp": 2} for kind in ("ghost", "virus", "glitch")],
        transmissions=[{"row": 4, "col": 4, "turnsRemaining": turns, "enemyType": "virus"} for turns in (6, 1)],
        ownedPrograms=[27, 4, 6, 28, 27, 5],
        player={"hp": 7, "credits": -1},
    )["observation"]  # fmt: skip
    assert cell(seen, 1, 1).items() >= {"credits": 2}.items()
    assert cell(seen, 1, 1)["block"] == {
        "isSiphoned": True, "blockType": "program", "points": 0, "transmissionSpawnCount": 2,
        "programType": "d_bom", "programActionIndex": 21,
    }  # fmt: skip
    assert set(cell(seen, 2, 1)) == {"block"}  # it hides the resource
    assert (cell(seen, 3, 1), seen["cells"][3][1]["isDataSiphon"]) == ({}, True)
    assert (cell(seen, 5, 5), seen["cells"][5][5]["isExit"]) == ({"energy": 255}, True)
    assert cell(seen, 4, 1) == {"energy": 3}
    assert (cell(seen, 4, 4)["enemy"]["type"], cell(seen, 4, 4)["transmission"]) == ("virus", {"turnsUntilSpawn": 6})
    assert len(ask(server, "getInternalState")["enemies"]) == 2
    assert (seen["ownedPrograms"], seen["playerHP"], seen["credits"]) == ([27, 6, 27, 5], 3, -1)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"player": {"row": 6, "col": 0}}, "player is at row 6, col 0, expected 0 to 5 for both"),
        ({"stage": 9}, "stage is 9, expected 1 to 8"),
        ({"player": {"row": 0, "col": 0, "credits": 2**40}}, f"credits is {2**40}, expected -1000000000 to 1000000000"),
        ({"enemies": [VIRUS | {"row": 0, "col": -1}]}, "enemies[0] is at row 0, col -1, expected 0 to 5 for both"),
        ({"enemies": [VIRUS | {"hp": 9}]}, "enemies[0].hp is 9, expected 1 to 3"),
        ({"enemies": 37 * [VIRUS]}, "there are 37 enemies and transmissions, expected at most 36"),
        ({"resources": [{"row": 0, "col": 1, "energy": 256}]}, "resources[0].energy is 256, expected 1 to 255"),
        ({"blocks": [{"row": 0, "col": 1, "type": "data", "points": 99}]}, "blocks[0].points is 99, expected 0 to 31"),
        ({"enemies": [VIRUS | {"hp": None}]}, "Invalid command"),
        ({"ownedPrograms": ["5"]}, "Invalid command"),
        ({"blocks": {}}, "Invalid command"),
        ({"showActivated": 1}, "Invalid command"),
        ({"turn": 1e300}, "Invalid command"),
    ],
)  # fmt: skip
def test_a_state_that_cannot_be_changes_nothing(server, state, error):
    set_state(server, 3, 3, turn=4.0)
    assert error in ask(server, "setState", state={"player": {"row": 1, "col": 1}} | state)["error"]
    assert ask(server, "getInternalState")["turnCount"] == 4
    assert ask(server, "getValidActions")["validActions"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[" * 100_000, "null", "5", '"reset"', '{"action": 1}', '{"action": null}', '{"action": "reset"} x']
    + ['{"action": "reset", "actionIndex": "x"}', '{"action": "reset", "state": {}}', "\ufffd\x00"]
    + [f'{{"action": "step", "actionIndex": {index}}}' for index in ("1.5", "NaN", "1e400", "true", "9" * 9_999)],
)  # fmt: skip
def test_what_is_no_command_changes_nothing(server, line):
    set_state(server, 3, 3)
    assert server.answer(line) == '{"error":"Invalid command"}'
    assert ask(server, "getValidActions")["validActions"] == [0, 1, 2, 3]


def test_programs_are_told_in_the_order_in_which_they_came(server):
    blocks = [
        {"row": row, "col": col, "type": "program", "programType": name}
        for row, col, name in ((2, 1, "push"), (1, 2, "hack"), (3, 2, "undo"), (2, 3, "score"))
    ]
    set_state(server, 2, 2, blocks=blocks, ownedPrograms=[24], player={"dataSiphons": 1, "credits": 9})
    assert step(server, 4)["ownedPrograms"] == [24, 14, 27, 5]
    assert step(server, 14)["ownedPrograms"] == [24, 14, 27, 5]  # back to the end of that turn


def hints(observation):
    return [(hint["row"], hint["col"]) for hint in observation["cryptogHints"]]


def test_a_cryptog_is_hinted_at_where_it_was_last_seen(server):
    board = {
        "enemies": [{"type": "cryptog", "row": 2, "col": 5, "hp": 2}],
        "blocks": [{"row": 1, "col": 4, "type": "data"}],
        "ownedPrograms": [14, 18],
    }
    assert hints(set_state(server, 1, 0, player={"credits": 9}, **board)["observation"]) == [(2, 5)]
    assert hints(step(server, 1)) == [(2, 5)]  # it goes to (1, 5) unseen
    assert "enemy" in cell(step(server, 3), 0, 5)
    assert hints(step(server, 0)) == [(0, 5)]  # it goes to (0, 4), as the block is in its way to the row
    assert hints(step(server, 14)) == [(0, 5)]
    assert hints(step(server, 14)) == []
    assert hints(step(server, 14)) == [(2, 5)]
    assert hints(step(server, 18)) == []


def test_a_new_game_and_a_board_that_was_set_know_nothing_of_the_one_before(server):
    set_state(server, 2, 2, ownedPrograms=[14], player={"credits": 9, "energy": 9}, turn=40)
    step(server, 0, 1)
    assert 14 in ask(server, "getValidActions")["validActions"]
    set_state(server, 2, 2, ownedPrograms=[14], player={"credits": 9})
    assert ask(server, "getValidActions")["validActions"] == [0, 1, 2, 3]
    fresh = ask(server, "reset")["observation"]
    assert (fresh["turn"], fresh["ownedPrograms"], fresh["stage"]) == (0, [], 1)
    assert server._state.history_length == 0


def test_undo_goes_back_as_far_as_anybody_likes(server):
    set_state(server, 2, 2, ownedPrograms=[14], player={"credits": 1}, scheduledTasksDisabled=True)
    step(server, *[2, 3] * 150)
    assert step(server, *[14] * 300)["turn"] == 1
    assert 14 not in ask(server, "getValidActions")["validActions"]


def talk(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


def start(*flags):
    return subprocess.Popen(
        [*COMMAND, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_process_answers_line_by_line_and_ends_with_its_input():
    with start("--headless-cli", "--info", "--debug-scenario", "--fast") as process:
        for sent, received in sessions("errors")[0][:10]:
            assert canonical(talk(process, sent)) == canonical(received)
        assert '"playerHP":3' in talk(process, '{"action": "reset"}')
        out, err = process.communicate('{"action": "getActionSpace"}')  # no end of line
    assert (process.returncode, out) == (0, '{"actionSpaceSize":28}\n')
    first, second, third = err.splitlines()
    assert first == "hackmatrix-headless: there is no such scenario here; reset starts a new game"
    assert second == "hackmatrix-headless: --fast means nothing here"
    assert third.startswith("hackmatrix-headless: ready after ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_without_a_word(number):
    with start() as process:
        talk(process, '{"action": "reset"}')
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == -number


def test_a_client_that_has_gone_ends_the_process_without_a_word():
    with start() as process:
        talk(process, "")
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.flush()
        assert (process.wait(timeout=30), process.stderr.read()) == (0, "")
