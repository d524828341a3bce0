"""The original held against the simulator: recorded games go through, and what is wrong in one is found."""

import copy
import json

import numpy as np
import pytest

import hackmatrix_core as hm

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")

from hackmatrix_core.environment.original import check
from tests.environment.original_recordings import Follower
from tests.environment.programs_of_the_original import player, told_in_full

SIMULATED = hm.HackMatrixGymnasium()


def follow(recorded):
    """Go through the steps of a recording; how many there were."""
    (_, answer, questions), *rest = recorded
    follower, count = Follower(answer, questions), 0
    for command, answer, questions in rest:
        if answer["info"].get("invalid_action") or not (answer["done"] or questions):
            break  # where a session ends, the last questions may be missing
        follower.step(command["actionIndex"], answer, questions)
        count += 1
    return count


@pytest.mark.parametrize("number", range(4))
def test_recorded_games(number, tmp_path):
    recorded = told_in_full("game")[number]
    env = hm.HackMatrixOriginal(player(tmp_path / "game.json", recorded), check=True)
    assert (env.observation_space, env.action_space) == (SIMULATED.observation_space, SIMULATED.action_space)
    observation, info = env.reset(seed=0)
    total, length = 0.0, len(recorded) - 1
    for command, answer, _ in recorded[1:]:
        assert observation in env.observation_space
        np.testing.assert_array_equal(observation, hm.observe(env.state))
        np.testing.assert_array_equal(info["action_mask"], hm.get_valid_actions(env.state))
        np.testing.assert_array_equal(info["action_mask"], env.action_masks())
        observation, reward, terminated, truncated, info = env.step(command["actionIndex"])
        assert reward == pytest.approx(answer["reward"], abs=1e-6)
        assert (terminated, truncated) == (answer["done"], False)
        total += answer["reward"]
    assert terminated
    assert info["episode_return"] == pytest.approx(total, abs=1e-4)
    assert (info["episode_length"], info["won"], info["died"]) == (length, total > 500, total < 500)
    SIMULATED.reset(seed=0)
    assert info.keys() == SIMULATED.step(int(SIMULATED.action_masks().argmax()))[4].keys()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.close()


def test_boards_that_were_set():
    counts = [follow(recorded) for recorded in told_in_full("set")]
    assert len(counts) == 60
    assert sum(counts) > 250


def _cell(answer, key):
    return next(cell for row in answer["observation"]["cells"] for cell in row if key in cell)


def _empty(answer):
    free = {"row", "col", "isExit", "isDataSiphon", "siphonCenter"}
    return next(cell for row in answer["observation"]["cells"] for cell in row if cell.keys() == free)


def _change_observation(name, value):
    def change(answer, questions):
        answer["observation"][name] += value

    return change


def _change_internal(name, value):
    def change(answer, questions):
        questions["getInternalState"][name] += value

    return change


def _wrong_reward(answer, questions):
    answer["reward"] += 0.3


def _other_enemy(answer, questions):
    enemies = questions["getInternalState"]["enemies"]
    enemies[0]["hp"] = 3 - enemies[0]["hp"]


def _longer_disabled(answer, questions):
    questions["getInternalState"]["enemies"][0]["disabledTurns"] += 1


def _scheduled_enemy(answer, questions):
    enemies = questions["getInternalState"]["enemies"]
    enemies[0]["isFromScheduledTask"] = not enemies[0]["isFromScheduledTask"]


def _new_transmission(answer, questions):
    _empty(answer)["transmission"] = {"turnsUntilSpawn": 1}


def _no_block(answer, questions):
    del _cell(answer, "block")["block"]


def _richer_cell(answer, questions):
    _cell(answer, "credits")["credits"] += 1


def _valid_program(answer, questions):
    questions["getValidActions"]["validActions"].append(27)


WRONG = {
    "hp": (_change_observation("playerHP", -1), "everything but the enemies"),
    "score": (_change_observation("score", 1), "everything but the enemies"),
    "place": (_change_observation("playerRow", 1), "everything but the enemies|whether these are valid"),
    "schedule": (_change_internal("nextScheduledTaskTurn", 1), "everything but the enemies"),
    "pending": (_change_internal("pendingSiphonTransmissions", 1), "everything but the enemies"),
    "reward": (_wrong_reward, "everything but the enemies"),
    "enemy": (_other_enemy, "in the observation, at"),
    "hidden": (_longer_disabled, "an enemy"),
    "flag": (_scheduled_enemy, "an enemy"),
    "transmission": (_new_transmission, "the number of new transmissions or the place of a new transmission"),
    "block": (_no_block, "everything but the enemies|whether these are valid"),
    "credits": (_richer_cell, "everything but the enemies"),
    "mask": (_valid_program, "whether these are valid: hack"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_check_finds_what_is_wrong(name, monkeypatch):
    monkeypatch.setattr(check, "ROUNDS", 4)  # the outcome is one of few
    change, said = WRONG[name]
    recorded = told_in_full("game")[0]
    place = next(i for i, one in enumerate(recorded) if i > 20 and len(one[2]["getInternalState"]["enemies"]) == 1)
    assert follow(recorded[: place + 1]) == place
    command, *told = recorded[place]
    told = copy.deepcopy(told)
    change(*told)
    with pytest.raises(check.Difference, match=said) as found:
        follow([*recorded[:place], (command, *told)])
    report = json.loads(json.dumps(found.value.report))
    assert report["action"] == hm.ACTION_NAMES[command["actionIndex"]]
    assert report["original"] == told[0]
    state = hm.scenario.from_dict(report["scenario"])
    assert bool(hm.get_valid_actions(state)[command["actionIndex"]])


def _exit_on_player(cells, row, col):
    for line in cells:
        for cell in line:
            cell["isExit"] = (cell["row"], cell["col"]) == (row, col)


def _many_points(cells, row, col):
    next(c for line in cells for c in line if c.get("block", {}).get("points"))["block"]["points"] = 10


def _rich(cells, row, col):
    next(c for line in cells for c in line if "energy" in c)["energy"] = 4


def _block_in_corner(cells, row, col):
    corner = cells[5 - row][col]
    corner |= {"isExit": False, "isDataSiphon": False}
    corner["block"] = {"blockType": "question", "isSiphoned": False}


@pytest.mark.parametrize("change", [_exit_on_player, _many_points, _rich, _block_in_corner])
def test_the_check_finds_a_wrong_board(change, monkeypatch):
    monkeypatch.setattr(check, "ROUNDS", 32)
    recorded = told_in_full("game")[0]
    place = next(i for i, (_, answer, _) in enumerate(recorded) if "stage_complete" in answer.get("info", {}))
    assert follow(recorded[: place + 1]) == place
    command, answer, questions = copy.deepcopy(recorded[place])
    observation = answer["observation"]
    change(observation["cells"], observation["playerRow"], observation["playerCol"])
    with pytest.raises(check.Difference):
        follow([*recorded[:place], (command, answer, questions)])
