"""The original as an environment: the state behind what it tells, mistakes, and games with the server."""

import json

import jax
import numpy as np
import pytest

import hackmatrix_core as hm

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")

from hackmatrix_core.environment.original import wire
from hackmatrix_core.environment.original.server import Server
from hackmatrix_core.game import actions, entity, history
from tests.environment.original_recordings import Follower
from tests.environment.programs_of_the_original import SERVER, player, told_in_full


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


@pytest.mark.parametrize("seed", range(8))
def test_which_transmission_is_the_scheduled_one_comes_out_as_they_are_removed(seed):
    start = hm.scenario.blank((2, 2), exit=None, programs=["wait", "warp"], **RICH)
    game = Told(start | {"pending_spawns": 2, "schedule": {"interval": 12, "next_turn": 0}})
    game.key = jax.random.key(seed)
    game.step("wait")
    assert "is the scheduled one is a guess" in game.follower.belief.guesses()[-1]
    for left in (3, 2, 1, 0):
        true, kept = (
            hm.scenario.to_dict(state)["transmissions"] for state in (game.state, game.follower.belief.state())
        )
        assert len(true) == left
        assert sum(one["scheduled"] for one in kept) == sum(one["scheduled"] for one in true)
        if left:
            game.step("warp")
    assert not any("scheduled" in guess for guess in game.follower.belief.guesses())
