"""The evaluation protocol, the baselines, the policies."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
import hackmatrix_core.evaluation as protocol
from hackmatrix_core.agent import baselines
from hackmatrix_core.agent.network import ActorCritic
from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.evaluation import Evaluation, compare, plot_stages, table, to_json, usage_table
from hackmatrix_core.game import actions, board, entity
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.training.checkpoints import CheckpointError, Checkpoints
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.loading import load_policy
from hackmatrix_core.training.runner import RunnerState
from tests import programs
from tests.conftest import all_optimisations
from tests.programs import few

GAMES = 160  # more than are played at a time
SEED = 0


def to_and_fro(state, observation, action_mask, key):
    """Up if possible, else down, else the first valid action: undoes its own steps."""
    return jnp.where(action_mask[0], 0, jnp.where(action_mask[1], 1, jnp.argmax(action_mask))).astype(jnp.int32)


@pytest.fixture(scope="module")
def policies():
    network = ActorCritic(28, hidden_dim=8, num_layers=1)
    params = network.init(jax.random.key(0), jnp.zeros((1, 1545), jnp.float32))
    return {
        "random": baselines.random,
        "greedy": baselines.greedy,
        "network": NetworkPolicy(params, network),
        "to and fro": to_and_fro,
    }


@pytest.fixture(scope="module")
def evaluations(policies):
    with all_optimisations():  # so many games take longer than compiling
        return compare(policies, jax.random.key(SEED), GAMES)


@pytest.fixture(scope="module")
def played(policies):
    """The same games of the network, played step by step with the public functions; states before each action."""
    choose = jax.jit(jax.vmap(policies["network"]))
    start_key, play_key = jax.random.split(jax.random.key(SEED))
    states = few(programs.reset, jax.random.split(start_key, GAMES))
    history = []
    game_keys = jax.random.split(play_key, GAMES)
    for time in range(2000):
        observations, masks = few(programs.observe, states), few(programs.get_valid_actions, states)
        keys = jax.vmap(lambda key, time=time: jax.random.split(jax.random.fold_in(key, time)))(game_keys)
        actions = choose(states, observations, masks, keys[:, 0])
        before = states
        states, outcome = few(programs.step, states, actions, keys[:, 1])
        history.append((before, masks, jax.device_get(actions), states, outcome))
        if np.all(np.any([h[4].terminated for h in history], axis=0)):
            return history
    raise AssertionError("a game went on for ever")


def test_counts_fit_together(evaluations):
    for evaluation in evaluations.values():
        assert evaluation.length.shape == (GAMES,)
        np.testing.assert_array_equal(evaluation.used.sum(axis=1), evaluation.length)
        assert (evaluation.used <= evaluation.valid).all()
        assert ((evaluation.length >= 1) & (evaluation.length <= 2000)).all()
        assert sum(evaluation.stages().values()) == GAMES
        assert (evaluation.final_stage[evaluation.won] == 9).all()


def test_an_evaluation_shows_itself_as_a_table(evaluations):
    shown = evaluations["greedy"]
    assert repr(shown) == str(table({"": shown}))
    assert "games won" in repr(shown)
    assert shown._repr_html_().startswith('<div style="overflow-x:auto"><table>')


def test_usage_table_tells_what_was_used(evaluations):
    evaluation = evaluations["random"]
    head, any_program, siphon, *programs = usage_table(evaluation).splitlines()
    assert "games with it" in head
    share = np.mean((evaluation.used[:, 5:] > 0).any(axis=1))
    assert any_program.split()[:3] == ["any", "program", f"{share:.1%}"]
    when_valid = evaluation.used[:, 4].sum() / evaluation.valid[:, 4].sum()
    shares = [f"{np.mean(evaluation.used[:, 4] > 0):.1%}", f"{evaluation.used[:, 4].mean():.2f}", f"{when_valid:.1%}"]
    stage = f"{evaluation.stages_of_use[:, 4].sum() / evaluation.used[:, 4].sum():.1f}"
    assert siphon.split() == ["siphon", *shares, stage]
    assert len(programs) == np.sum(evaluation.valid[:, 5:].any(axis=0))


def test_stages_are_plotted_as_shares(evaluations):
    shown = {name: evaluations[name] for name in ("random", "greedy")}
    (axes,) = plot_stages(shown).axes
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    for evaluation, shares in zip(shown.values(), heights, strict=True):
        np.testing.assert_allclose(shares, [count / GAMES for count in evaluation.stages().values()])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["random", "greedy"]


def test_baselines_play_as_on_the_original_game(evaluations):
    """Means on the original game: random 1.14 and −3.64, greedy 3.58 and +3.25; with room for the errors of both."""
    random, greedy = evaluations["random"].means(), evaluations["greedy"].means()
    assert random["final_stage"][0] == pytest.approx(1.14, abs=0.2)
    assert random["return"][0] == pytest.approx(-3.64, abs=1.6)
    assert greedy["final_stage"][0] == pytest.approx(3.58, abs=0.5)
    assert greedy["return"][0] == pytest.approx(3.25, abs=2.0)
    assert greedy["length"][0] == pytest.approx(41, abs=8)


def test_walking_to_and_fro_is_seen(evaluations):
    assert evaluations["to and fro"].means()["steps_undone"][0] > 0.4
    assert evaluations["greedy"].means()["steps_undone"][0] < 0.1


def test_games_are_what_playing_them_by_hand_gives(evaluations, played):
    evaluation = evaluations["network"]
    length, undone = np.zeros((2, GAMES), int)
    used, stages_of_use = np.zeros((2, GAMES, 28), int)
    total = np.zeros(GAMES)
    for game in range(GAMES):
        earlier = None  # where the last move came from
        for before, masks, chosen, after, outcome in played:
            action, position = chosen[game], before.position[game]
            assert masks[game, action]
            length[game] += 1
            total[game] += outcome.reward[game]
            used[game, action] += 1
            stages_of_use[game, action] += before.stage[game]
            moved = action < 4 and after.position[game] != position
            undone[game] += moved and after.position[game] == earlier
            earlier = position if moved else None
            if outcome.terminated[game]:
                assert evaluation.score[game] == after.score[game]
                assert evaluation.final_stage[game] == after.stage[game] + outcome.won[game]
                break
    np.testing.assert_array_equal(evaluation.length, length)
    np.testing.assert_array_equal(evaluation.used, used)
    np.testing.assert_array_equal(evaluation.stages_of_use, stages_of_use)
    np.testing.assert_array_equal(evaluation.undone, undone)
    np.testing.assert_allclose(evaluation.total_reward, total, atol=1e-3)
    np.testing.assert_allclose(evaluation.reward_parts.sum(axis=1), total, atol=1e-3)


def test_another_key_gives_other_games(policies, evaluations):
    """That the same key gives the same ones shows where they are played by hand."""
    with all_optimisations():
        other = compare(policies, jax.random.key(SEED + 1), GAMES)
    for name in policies:
        assert not np.array_equal(other[name].length, evaluations[name].length)


def test_greedy_walks_by_its_rule(played):
    """Reset at hp 1, else the first adjacent enemy, else the nearest neighbour to the exit."""
    fights = walks = 0
    decide = jax.jit(jax.vmap(baselines.greedy))
    for before, masks, *_ in played[:12]:
        actions = decide(
            before, jnp.zeros((GAMES, 1545), jnp.float32), masks, jax.random.split(jax.random.key(0), GAMES)
        )
        for game in range(GAMES):
            expected, is_fight = _greedy_by_hand(jax.tree.map(lambda x, i=game: x[i], before), masks[game])
            assert int(actions[game]) == expected
            fights += is_fight
            walks += not is_fight
    assert fights > 20
    assert walks > 200


def _greedy_by_hand(state, mask):
    if state.hp == 1 and mask[actions.RESET]:
        return actions.RESET, False
    row, col = divmod(int(state.position), 6)
    blocks = np.asarray(board.to_mask(board.blocks(jnp.asarray(state.cells)[:, None])))[:, 0].reshape(6, 6)
    enemies = {int(entity.CELL.get(word)) for word in state.entities if int(entity.KIND.get(word)) == entity.ENEMY}
    neighbours = [(row + 1, col), (row - 1, col), (row, col - 1), (row, col + 1)]
    on_board = [0 <= r < 6 and 0 <= c < 6 for r, c in neighbours]
    for direction, (r, c) in enumerate(neighbours):
        if on_board[direction] and 6 * r + c in enemies:
            return direction, True
    distances, frontier = {divmod(int(state.exit), 6): 0}, [divmod(int(state.exit), 6)]
    for r, c in frontier:  # grows while it is walked along: a breadth-first search from the exit
        for near in [(r + 1, c), (r - 1, c), (r, c - 1), (r, c + 1)]:
            if 0 <= near[0] < 6 and 0 <= near[1] < 6 and not blocks[near] and near not in distances:
                distances[near] = distances[r, c] + 1
                frontier.append(near)
    lengths = [distances.get(cell, 1000) if mask[i] else 2000 for i, cell in enumerate(neighbours)]
    return int(np.argmin(lengths)), False


def test_means_and_intervals():
    def one(final_stage, length, kills_weight=1.0):
        games = len(final_stage)
        zeros = np.zeros(games, int)
        return Evaluation(
            final_stage=np.array(final_stage),
            won=np.array(final_stage) == 9,
            total_reward=np.zeros(games),
            score=zeros,
            length=np.array(length),
            undone=zeros + 1,
            valid=np.ones((games, 28), int),
            used=np.eye(28, dtype=int)[[5] * games],
            stages_of_use=np.eye(28, dtype=int)[[5] * games],
            reward_parts=np.tile(np.array(REWARD_PARTS) == "kills", (games, 1)).astype(float),
            reward_weights=np.where(np.array(REWARD_PARTS) == "kills", kills_weight, 1.0),
        )

    evaluation = one([1, 9] * 200, [1, 3] * 200)
    mean, low, high = evaluation.means()["final_stage"]
    assert mean == 5.0
    # The bootstrap of 400 coin tosses of 1 or 9: standard error 4 / 20.
    assert low == pytest.approx(5 - 1.96 * 0.2, abs=0.05)
    assert high == pytest.approx(5 + 1.96 * 0.2, abs=0.05)
    assert evaluation.means()["win_rate"][0] == 0.5
    assert evaluation.means()["steps_undone"][0] == 0.5  # of all steps: 400 of 800
    assert evaluation.stages() == {1: 200, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 200}
    assert evaluation.means()["games_with_siphon"][0] == 0.0
    assert evaluation.means()["games_with_programs"][0] == 1.0
    assert evaluation.use_when_valid()["push"] == 1.0
    assert evaluation.use_when_valid()["siphon"] == 0.0
    summary = json.loads(to_json({"a": evaluation}))["a"]
    assert summary["final_stage"]["mean"] == 5.0
    text = table({"a": evaluation, "b": one([2], [4])})
    assert "5.00 (4.6" in text
    assert "2.00 (2.00 – 2.00)" in text
    assert "weighted" not in text
    weighted = table({"a": evaluation, "b": one([2], [4], kills_weight=3.0)})
    assert next(line for line in weighted.splitlines() if "weighted" in line).split()[-3:] == ["(+3.00", "–", "+3.00)"]


def test_policies_load_by_name_and_from_a_run(tmp_path, policies):
    assert load_policy("random") is baselines.random
    assert load_policy("greedy") is baselines.greedy
    params = policies["network"].params
    nothing = jnp.zeros((), jnp.int32)
    runner = RunnerState(params, nothing, nothing, nothing, jax.random.key(0), nothing + 1)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(runner, TrainConfig(hidden_dim=8, num_layers=1), 0.0)

    policy = load_policy(tmp_path, greedy=True)
    observation = jax.random.uniform(jax.random.key(1), (1545,), jnp.float32)
    mask = jnp.arange(28) % 3 == 0
    distribution, value = policy.distribution(observation, mask)
    logits, expected_value = ActorCritic(28, 8, 1).apply(params, observation)
    assert value == expected_value
    best = int(np.where(mask, logits, -np.inf).argmax())
    assert int(policy(None, observation, mask, jax.random.key(0))) == best
    assert (np.asarray(distribution.probs)[~np.asarray(mask)] == 0).all()
    names = "pretrained, pretrained-points, random or greedy"
    with pytest.raises(CheckpointError, match=rf"does not exist\. Give the directory of a training run, or {names}"):
        load_policy(tmp_path / "other")


def test_nothing_to_evaluate_is_refused():
    with pytest.raises(ValueError, match="0 policies and 10 games given"):
        compare({}, jax.random.key(0), 10)
    with pytest.raises(ValueError, match="1 policies and 0 games"):
        compare({"random": baselines.random}, jax.random.key(0), 0)
    for function in (hm.evaluate, hm.record):
        with pytest.raises(
            TypeError, match=r"policy is 'greedy', expected one as hm\.load_policy\('greedy'\) gives it"
        ):
            function("greedy", jax.random.key(0))
        with pytest.raises(TypeError, match=rf"hm\.{function.__name__}: key is 0, expected a random key"):
            function(baselines.greedy, 0)


def test_a_game_that_is_cut_makes_room_for_the_next(policies, evaluations, monkeypatch):
    """The first actions are those of the whole games, also of games that begin after another was cut."""
    monkeypatch.setattr(protocol, "MAX_ACTIONS", 7)
    cut = compare({"network": policies["network"]}, jax.random.key(SEED), GAMES)["network"]
    jax.clear_caches()  # the limit is part of the compiled program
    whole = evaluations["network"]
    np.testing.assert_array_equal(cut.length, np.minimum(whole.length, 7))
    short = whole.length <= 7
    assert 0 < short.sum() < GAMES
    np.testing.assert_array_equal(cut.used[short], whole.used[short])
    np.testing.assert_array_equal(cut.used.sum(axis=1), cut.length)
