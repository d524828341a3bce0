"""Games of an agent in the original, and the command `hackmatrix original`; the server stands for the program."""

import itertools
import json
import re

import jax
import numpy as np
import pytest

import hackmatrix_core as hm

pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'gymnasium>=1.1'")

from hackmatrix_core import cli, evaluation
from hackmatrix_core.agent.search import Thoughts
from hackmatrix_core.cli.original import _thoughts
from hackmatrix_core.playing.original import play_original
from tests.environment.programs_of_the_original import SERVER, TAMPERED

OPPOSITE = {0: 1, 1: 0, 2: 3, 3: 2}


@pytest.fixture(scope="module")
def episodes():
    """Five games of the greedy walker, in two programs."""
    envs = [hm.HackMatrixOriginal(SERVER, timeout=300) for _ in range(2)]
    looked = []
    found = list(play_original(hm.baselines.greedy, envs, 5, jax.random.key(0), lambda *seen: looked.append(seen)))
    for env in envs:
        env.close()
    lengths = [len(episode) for episode in found]
    assert len(looked) in {sum(some) for n in range(1, 5) for some in itertools.combinations(lengths, n)}
    assert all(one["action_masks"][one["actions"]] for _, one in looked)
    return found


def test_games_are_recorded_as_here(episodes):
    assert len(episodes) == 5
    here = hm.record(hm.baselines.greedy, jax.random.key(0))
    for there in episodes:
        kinds = []
        for one in (there, here):
            parts = one.states, one.actions, one.action_masks, one.outcomes
            kinds.append(jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape[1:]), parts))
        assert kinds[0] == kinds[1]
        assert there.outcomes.terminated.tolist() == [False] * (len(there) - 1) + [True]
        assert len(there.states.stage) == len(there) + 1
        for time in range(len(there)):
            state = jax.tree.map(lambda leaf, time=time: leaf[time], there.states)
            np.testing.assert_array_equal(there.action_masks[time], hm.get_valid_actions(state))


def test_their_evaluation_counts_what_happened(episodes):
    games = evaluation.of_games(iter(episodes), hm.baselines.greedy)
    for i, one in enumerate(episodes):
        assert games.final_stage[i] == one.final_stage
        assert games.total_reward[i] == pytest.approx(one.total_reward)
        assert games.reward_parts[i].sum() == pytest.approx(one.total_reward, abs=1e-3)
        assert (games.length[i], games.score[i], games.won[i]) == (len(one), one.states.score[-1], one.outcomes.won[-1])
        undone, used, stages = 0, np.zeros(28, int), np.zeros(28, int)
        for time, action in enumerate(one.actions.tolist()):
            used[action] += 1
            stages[action] += one.states.stage[time]
            place = one.states.position[max(0, time - 1) : time + 2].tolist()
            came = time and action < 4 and OPPOSITE[action] == one.actions[time - 1]
            undone += bool(came and place[0] == place[2] != place[1])
        assert games.undone[i] == undone
        np.testing.assert_array_equal(games.used[i], used)
        np.testing.assert_array_equal(games.stages_of_use[i], stages)
        np.testing.assert_array_equal(games.valid[i], one.action_masks.sum(axis=0))
    fewer = evaluation.of_games(episodes[:3], hm.baselines.greedy)
    lines = str(evaluation.table({"all": games, "fewer": fewer}, apart=True)).splitlines()
    assert lines[0].split() == ["all", "fewer", "standard", "errors", "between"]
    actions = next(line for line in lines if line.startswith("actions"))
    spread = np.sqrt(games.length.var(ddof=1) / 5 + fewer.length.var(ddof=1) / 3)
    assert float(actions.split()[-1]) == pytest.approx((games.length.mean() - fewer.length.mean()) / spread, abs=0.06)


def run(capsys, *arguments, program=SERVER):
    code = cli.main(["original", *map(str, arguments), "--", *program])
    return code, *capsys.readouterr()


def test_the_command_compares(capsys):
    code, said, _ = run(capsys, "--games", 2, "--processes", 2, "--agent", "greedy", "--check")
    assert code == 0
    assert re.search(r"^[\d,]+ steps held against the simulator: no difference$", said, re.M)
    assert re.search(r"^2 games in the original in \d+ s: [\d,]+ actions$", said, re.M)
    assert "in the original" in said
    assert "standard errors between" in said


def test_the_command_shows_a_game_and_writes_it(capsys, tmp_path):
    page = tmp_path / "game.html"
    code, said, _ = run(capsys, "--watch", "--delay", 0, "--replay", page)
    assert code == 0
    boards = said.count("stage 1/8")
    assert boards > 1
    assert len(re.findall(r"^next: \S+   value [+-]\d+\.\d+\n\S+ \d+%( |$)", said, re.M)) >= boards
    assert re.search(r"^\d+ actions, final stage \d, return [+-]\d+\.\d+$", said, re.M)
    assert "pretrained in the original" in page.read_text()
    assert '"value":' in page.read_text()


def test_a_search_is_shown_by_what_it_prefers():
    chances = np.eye(28, dtype=np.float32)[1] * 0.9 + np.eye(28, dtype=np.float32)[4] * 0.1
    nothing = dict.fromkeys(Thoughts._fields, np.zeros(28, np.float32))
    thoughts = Thoughts(**nothing | {"policy": chances, "value": np.float32(6.5)})
    decided = {"actions": np.int32(1), "action_masks": np.arange(28) < 5, "probabilities": chances[::-1]}
    lines = _thoughts(decided | {"values": np.float32(6), "thoughts": thoughts}).splitlines()
    assert lines == ["next: down   value +6.00 after a search worth +6.50", lines[1]]
    assert lines[1].startswith("down 90%   siphon 10%   ")


def test_the_command_writes_a_difference(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, said = run(capsys, "--games", 1, "--check", program=TAMPERED)
    assert code == 1
    assert "the original and the simulator differ after the action" in said
    report = json.loads((tmp_path / "difference.json").read_text())
    state = hm.scenario.from_dict(report["scenario"])
    assert bool(hm.get_valid_actions(state)[hm.ACTION_NAMES.index(report["action"])])
    assert report["original"]["observation"]["credits"] >= 1
    assert report["differs"] in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--agent", "nobody", "cat"], 1, "nobody does not exist"),
        (["--agent", "greedy", "--simulations", "2", "cat"], 2, "policy is"),
        (["--games", "1", "/no/such/program"], 1, "cannot be started: /no/such/program --headless-cli"),
    ],
)
def test_mistakes(arguments, code, said, capsys):
    assert cli.main(["original", *arguments]) == code
    assert said in capsys.readouterr().err
