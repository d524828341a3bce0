"""The original as an environment: recorded games, the state behind them, the check, and games with the server."""

import copy
import json

import jax
import numpy as np
import pytest

import hackmatrix_core as hm

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")

from hackmatrix_core.environment.original import check, reading, wire
from hackmatrix_core.environment.original.belief import Belief
from hackmatrix_core.environment.original.server import Server
from hackmatrix_core.game import actions, entity, history
from tests.environment.programs_of_the_original import SERVER, player, told_in_full

SIMULATED = hm.HackMatrixGymnasium()


def mask_of(valid):
    return np.isin(np.arange(28), valid["validActions"])


class Follower:
    """The state behind the answers of the original, each step of it checked."""

    def __init__(self, answer, questions):
        self.told, self.mask = self._look(answer, questions)
        self.belief = Belief(self.told, np.random.default_rng(0))
        self.belief.agree(self.mask)

    def step(self, action, answer, questions):
        was, happened = self.belief.copy(), reading.read_step(answer)
        self.told, self.mask = self._look(answer, questions)
        self.belief.follow(action, self.told, happened.completed, happened.won)
        if not happened.terminated:
            self.belief.agree(self.mask)
        check.check_step(was, action, happened, answer, self.belief, self.told, self.mask)

    @staticmethod
    def _look(answer, questions):
        mask = mask_of(questions.get("getValidActions", {"validActions": []}))
        return reading.read(answer["observation"], questions.get("getInternalState")), mask


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


def _without_guesses(scenario):
    """A state without what the original does not tell: types, flags and order of transmissions, hidden blocks."""
    secret = ("type", "from_siphon", "scheduled")
    for moment in (scenario, *scenario.get("history", [])):
        for cell in (cell for row in moment["cells"] for cell in row):
            if cell.get("block", {}).get("hidden"):
                cell["block"] = {"hidden": True}
        told = [{key: one[key] for key in one if key not in secret} for one in moment["transmissions"]]
        moment["transmissions"] = sorted(told, key=lambda one: (one["row"], one["col"]))
    return scenario


def _known(belief, state):
    """How many secrets have come out, in the present and the snapshots; each has to be what it really is."""
    state, known = jax.device_get(state), 0
    for ours, theirs in zip(
        [belief._now, *belief._history[::-1]], [state, *history.snapshots(state)[::-1]], strict=False
    ):
        words = ours.filled()
        for index, secret in ours.secrets.items():
            if secret.is_known and index < 36:
                assert words[index] == theirs.cells[index]
            elif secret.is_known:
                assert entity.TYPE.of(int(words[index])) == _type_at(theirs, entity.CELL.of(int(words[index])))
            known += secret.is_known
    return known


def _type_at(snapshot, place):
    """The type of the transmission there."""
    words = map(int, snapshot.entities)
    (word,) = (w for w in words if entity.KIND.of(w) == entity.TRANSMISSION and entity.CELL.of(w) == place)
    return entity.TYPE.of(word)


def test_the_state_is_that_of_the_server():
    """With many UNDOs, which bring back what was guessed."""
    server, rng, policy = Server(seed=3), np.random.default_rng(3), hm.load_policy("pretrained")
    act = jax.jit(lambda observation, mask, key: policy(None, observation, mask, key))

    def ask(**command):
        return json.loads(server.answer(json.dumps(command)))

    def questions():
        return {name: ask(action=name) for name in ("getInternalState", "getValidActions")}

    compared, undone, known = 0, 0, 0
    for _ in range(5):
        follower, over = Follower(ask(action="reset"), questions()), False
        while not over:
            if rng.random() < 0.4:
                ours, theirs = (hm.scenario.to_dict(state) for state in (follower.belief.state(), server._state))
                theirs["history"] = theirs["history"][-len(ours["history"]) :] if ours["history"] else []
                assert _without_guesses(ours) == _without_guesses(theirs)
                compared, known = compared + 1, known + _known(follower.belief, server._state)
            valid = np.flatnonzero(follower.mask)
            action = int(act(follower.told.compact, follower.mask, jax.random.key(compared)))
            if rng.random() < 0.2 and len(valid):
                action = int(rng.choice(valid))
            if follower.mask[actions.UNDO] and rng.random() < 0.3:
                action, undone = actions.UNDO, undone + 1
            answer = ask(action="step", actionIndex=action)
            over = answer["done"]
            follower.step(action, answer, {} if over else questions())
    assert compared > 50
    assert undone > 10
    assert known > 100


def test_what_is_guessed_is_said():
    recorded = told_in_full("game")[0]
    (_, answer, questions), *rest = recorded
    follower = Follower(answer, questions)
    (guess,) = follower.belief.guesses()[-1:]
    assert "is taken for a" in guess
    said = set()
    for command, answer, questions in rest[:-1]:
        follower.step(command["actionIndex"], answer, questions)
        said |= set(follower.belief.guesses())
    for words in ("the hidden block at", "came together, and their order", "UNDO could bring back"):
        assert any(words in one for one in said), words


def test_an_invalid_action_ends_the_episode_and_is_not_sent(tmp_path):
    recorded = told_in_full("game")[0]
    env = hm.HackMatrixOriginal(player(tmp_path / "game.json", [recorded[0], recorded[0]]))
    for action in (27, 28, -1, 2**70):
        if action == -1:
            env.close()  # and a closed one starts again
        env.reset()
        before = env.state
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["won"], info["died"]) == (0, True, False, False, False)
        jax.tree.map(np.testing.assert_array_equal, before, env.state)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)
    env.close()


def test_settings_and_mistakes(tmp_path):
    recorded = told_in_full("game")[0]
    command = player(tmp_path / "game.json", recorded)
    env = hm.HackMatrixOriginal(command, max_steps=2, reward_weights=np.full(15, 2.0), render_mode="ansi")
    for call in (env.action_masks, lambda: env.step(0), lambda: env.state):
        with pytest.raises(gymnasium.error.ResetNeeded):
            call()
    with pytest.raises(ValueError, match="the original has none"):
        env.reset(options={"scenario": {}})
    env.reset()
    with pytest.raises(TypeError, match="expected an integer"):
        env.step("up")
    assert env.render() == hm.rendering.text(env.state)
    first = env.step(recorded[1][0]["actionIndex"])
    assert first[1] == pytest.approx(2 * recorded[1][1]["reward"])
    *_, terminated, truncated, info = env.step(recorded[2][0]["actionIndex"])
    assert (terminated, truncated, info["episode_length"]) == (False, True, 2)
    env.close()
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        hm.HackMatrixOriginal(command, render_mode="human")


def test_games_with_the_server_through_pipes():
    env = hm.HackMatrixOriginal(SERVER, check=True, timeout=300)
    rng, total = np.random.default_rng(0), 0
    for seed in range(3):
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(rng.choice(np.flatnonzero(info["action_mask"])))
            over, total = terminated or truncated, total + 1
        assert info["died"] or info["won"]
    assert total > 10
    env.close()


class Told:
    """Any state, told as the original tells it, and what follows from the answers."""

    def __init__(self, scenario):
        self.state, self.key = hm.scenario.from_dict(scenario), jax.random.key(0)
        self.follower = Follower(*self._answer({}))

    def step(self, name):
        """Carry out an action by its name."""
        action = hm.ACTION_NAMES.index(name)
        assert bool(hm.get_valid_actions(self.state)[action]), name
        self.key, key = jax.random.split(self.key)
        self.state, outcome = hm.step(self.state, action, key)
        parts = {
            wire.REWARD_NAMES[name]: float(x) for name, x in outcome.reward_parts.items() if name in wire.REWARD_NAMES
        }
        told = {"reward": float(outcome.reward), "done": False, "info": {"reward_breakdown": parts}}
        self.follower.step(action, *self._answer(told))

    def _answer(self, told):
        fields = vars(jax.device_get(self.state)).items()
        game = {name: np.asarray(value).tolist() for name, value in fields if not name.startswith("history")}
        owned = [5 + i for i in range(23) if game["programs"] >> i & 1]
        valid = np.flatnonzero(hm.get_valid_actions(self.state)).tolist()
        questions = {"getInternalState": wire.internal_state(game), "getValidActions": {"validActions": valid}}
        return told | {"observation": wire.observation(game, owned)}, questions

    def is_known(self):
        """Whether the state that is kept is the true one."""
        return hm.scenario.to_dict(self.follower.belief.state()) == hm.scenario.to_dict(self.state)


RICH = {"credits": 40, "energy": 40}


def test_attack_bonuses_are_counted():
    game = Told(hm.scenario.blank((2, 2), programs=["wait", "undo", "atk+", "step"], **RICH))
    for name in ("wait", "atk+", "wait", "atk+", "undo", "step", "up", "atk+", "wait"):
        game.step(name)
        assert game.is_known(), name


@pytest.mark.parametrize("content", [{"kind": "data", "points": 3}, {"kind": "program", "program": "wait"}])
def test_a_hidden_block_comes_out_in_the_snapshots_too(content):
    block = {"block": content | {"spawn": 3 if "points" in content else 1, "hidden": True}}
    other = {"block": {"kind": "data", "points": 5}}
    start = hm.scenario.blank(
        (2, 2), cells={(2, 3): block, (5, 0): other}, programs=["wait", "undo", "reduc"], data_siphons=1, **RICH
    )
    game = Told(start)
    for name in ("wait", "reduc", "wait", "reduc", "wait"):
        game.step(name)
    assert any("the hidden block at (2, 3)" in guess for guess in game.follower.belief.guesses())
    game.step("siphon")
    assert _known(game.follower.belief, game.state) == 3
    game.step("undo")  # to the start of this turn, with what the siphon set free
    for _ in range(3):
        game.step("undo")
        assert game.is_known()


def test_a_transmission_that_is_removed_stays_unknown():
    """The enemy that goes to its cell is another one."""
    walls = {(1, col): {"block": {"kind": "data", "points": 1}} for col in range(2, 6)}
    start = hm.scenario.blank(
        (0, 0),
        cells=walls,
        enemies=[("daemon", 0, 3)],
        transmissions=[{"type": "glitch", "row": 0, "col": 2, "turns": 3}],
        programs=["wait", "undo"],
        **RICH,
    )
    game = Told(start)
    for name in ("wait", "wait"):
        game.step(name)
    (enemy,) = hm.scenario.to_dict(game.state)["enemies"]
    game.step("right")
    (moved,) = hm.scenario.to_dict(game.state)["enemies"]
    assert ((enemy["row"], enemy["col"]), (moved["row"], moved["col"])) == ((0, 3), (0, 2))
    assert game.follower.belief.guesses() == [
        "UNDO could bring back 1 transmissions or hidden blocks whose content is a guess"
    ]
    for _ in range(2):
        game.step("undo")
    assert _without_guesses(hm.scenario.to_dict(game.follower.belief.state())) == _without_guesses(
        hm.scenario.to_dict(game.state)
    )
    assert [guess.partition(" is ")[0] for guess in game.follower.belief.guesses()] == ["the transmission at (0, 2)"]
