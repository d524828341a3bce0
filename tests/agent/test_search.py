"""The search: it finds what a look ahead shows, by the rules, and knows nothing of the chance to come."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent.network import ActorCritic
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.agent.search import search
from hackmatrix_core.game import history
from hackmatrix_core.game.actions import ACTION_NAMES, NUM_ACTIONS
from hackmatrix_core.game.scenario import blank, from_dict, to_dict
from tests.game.reference.turn import snapshot
from tests.training import probe_environments as probes

UP, RIGHT, SIPHON, UNDO = (ACTION_NAMES.index(name) for name in ("up", "right", "siphon", "undo"))
SIMULATIONS = 24


@pytest.fixture(scope="module")
def untrained():
    """A network that knows nothing: all actions are about as likely, all values about 0."""
    network = ActorCritic(NUM_ACTIONS, hidden_dim=8, num_layers=1)
    params = network.init(jax.random.key(0), jnp.zeros((1, 1545), jnp.float32))
    return NetworkPolicy(jax.tree.map(lambda x: 0.01 * x, params), network, objective=Objective(symlog_rewards=True))


@pytest.fixture(scope="module")
def think(untrained):
    """A function of a scenario: what a search finds out."""
    policy = hm.SearchPolicy(untrained, SIMULATIONS)

    @jax.jit
    def look_ahead(state, key):
        return policy.think(state, hm.observe(state), hm.get_valid_actions(state), key)

    return lambda scenario, seed=0: look_ahead(from_dict(scenario), jax.random.key(seed))


def test_it_takes_a_win_that_is_one_move_away(think):
    thoughts = think(blank(player=(4, 5), exit=(5, 5), stage=8))
    assert thoughts.action == UP
    assert thoughts.action_values[UP] == pytest.approx(np.log1p(500 + 64), abs=0.01)
    assert np.argmax(thoughts.policy) == UP


def test_it_sees_a_blow_that_comes_after_the_obvious_move(think):
    # To the right lies the exit, and there a virus comes and strikes one turn later: the last hit point.
    scenario = blank(player=(2, 2), exit=(2, 5), stage=6, hp=1, enemies=[("virus", 3, 5)])
    rewards = [hm.step(from_dict(scenario), action, jax.random.key(0))[1].reward for action in range(4)]
    assert np.argmax(rewards) == RIGHT
    thoughts = think(scenario)
    assert thoughts.network_policy[RIGHT] > 0.2
    assert thoughts.action != RIGHT
    assert thoughts.action_values[RIGHT] < thoughts.action_values[thoughts.action] - 1


def test_it_finds_that_only_undo_saves(think):
    before = to_dict(from_dict(blank(player=(2, 2), hp=3, credits=1, programs=["undo"], stage=6)))
    lost = blank(
        player=(2, 2),
        hp=1,
        credits=1,
        programs=["undo"],
        stage=6,
        enemies=[("daemon", 1, 2), ("daemon", 3, 2), ("daemon", 2, 1), ("daemon", 2, 3)],
    )
    thoughts = think(lost | {"history": [snapshot(before)]})
    assert thoughts.action == UNDO
    others = [a for a in np.flatnonzero(thoughts.visits) if a != UNDO]
    assert max(float(thoughts.action_values[a]) for a in others) < thoughts.action_values[UNDO] - 3


def test_it_counts_points_as_the_network_does(untrained, think):
    # One step from winning, with a siphon in hand, beside a block that frees a single enemy.
    block = {"block": {"kind": "data", "points": 9, "spawn": 1}}
    scenario = blank(player=(4, 5), exit=(5, 5), stage=8, data_siphons=1, cells={(4, 4): block})
    wants_points = untrained.replace(objective=Objective(symlog_rewards=True, points=1.5))
    state, policy = from_dict(scenario), hm.SearchPolicy(wants_points, SIMULATIONS)
    thoughts = jax.jit(policy.think)(state, hm.observe(state), hm.get_valid_actions(state), jax.random.key(0))
    assert thoughts.action == SIPHON
    assert thoughts.action_values[SIPHON] == pytest.approx(think(scenario).action_values[SIPHON] + 1.5 * 9, abs=1)
    assert thoughts.action_values[UP] == pytest.approx(think(scenario).action_values[UP])


@pytest.mark.parametrize(("points", "weight"), [(0.0, 0.1), (2.0, 0.02)])
def test_values_that_count_points_weigh_less_against_the_network(untrained, points, weight):
    scenario = blank(player=(2, 2), exit=(2, 3), stage=5, data_siphons=1, credits=3, energy=2, programs=["wait"])
    state = from_dict(scenario)
    policy = hm.SearchPolicy(untrained.replace(objective=Objective(symlog_rewards=True, points=points)), SIMULATIONS)
    look_ahead = jax.jit(policy.think)
    found = look_ahead(state, hm.observe(state), hm.get_valid_actions(state), jax.random.key(0))
    thoughts = jax.tree.map(np.asarray, found)
    visited = np.flatnonzero(thoughts.visits)
    gained = np.log(thoughts.policy[visited] / thoughts.network_policy[visited])
    expected = weight * (50 + np.max(thoughts.visits)) * thoughts.action_values[visited]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(gained - gained[0], expected - expected[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("points", [0.0, 2.0])
def test_only_where_points_count_it_samples_among_equals(untrained, points):
    # It looks one step ahead, where chance decides nothing.
    objective = Objective(gamma=0.0, symlog_rewards=True, points=points)
    policy, state = hm.SearchPolicy(untrained.replace(objective=objective), 4), from_dict(blank(player=(2, 2)))
    given = state, hm.observe(state), hm.get_valid_actions(state)
    keys = jax.random.split(jax.random.key(0), 32)
    actions = jax.jit(jax.vmap(lambda key: policy(*given, key)))(keys)
    assert (len(set(actions.tolist())) > 1) == (points > 0)


def test_what_it_says_fits_together(think):
    scenario = blank(player=(2, 2), enemies=[("virus", 4, 4)], data_siphons=1, credits=3, energy=2, programs=["row"])
    thoughts = think(scenario)
    valid = hm.get_valid_actions(from_dict(scenario))
    assert jnp.sum(thoughts.visits) == SIMULATIONS
    assert jnp.sum(thoughts.policy) == pytest.approx(1, abs=1e-5)
    assert not jnp.any(thoughts.visits[~valid])
    assert not jnp.any(thoughts.policy[~valid] > 0)
    assert valid[thoughts.action]


class Coin(probes.Probe):
    """An action earns 1 if the toss that the step's key decides falls its way."""

    def step_env(self, key, state, action, params):
        obs, after, reward, done, info = super().step_env(key, state, action, params)
        reward = (jax.random.bernoulli(key) == (action == 1)).astype(jnp.float32)
        return obs, after, reward, done, info


def test_it_does_not_know_the_chance_to_come():
    env, tosses = Coin(), 2000
    obs, state = env.reset(jax.random.key(0), None)

    def toss(key):
        thoughts = search(
            env,
            Objective(gamma=1.0),
            8,
            lambda obs: (jnp.zeros((1, 2), jnp.float32), jnp.zeros(1, jnp.float32)),
            None,
            state,
            obs,
            env.get_action_mask(state),
            key,
        )
        # The real game is played with the very key that the search was given.
        return env.step_env(key, state, thoughts.action, None)[2]

    rewards = jax.jit(jax.vmap(toss))(jax.random.split(jax.random.key(1), tosses))
    assert float(jnp.mean(rewards)) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(tosses))


def test_many_games_think_as_one_would(untrained, think):
    policy = hm.SearchPolicy(untrained, SIMULATIONS)
    states = jax.vmap(hm.reset)(jax.random.split(jax.random.key(2), 5))
    keys = jax.vmap(jax.random.key)(jnp.arange(5, dtype=jnp.int32))
    observations, masks = jax.vmap(hm.observe)(states), jax.vmap(hm.get_valid_actions)(states)
    together = jax.jit(jax.vmap(policy.think))(states, observations, masks, keys)
    for i in range(5):
        one = think(to_dict(jax.tree.map(lambda x, i=i: x[i], states)), seed=i)
        assert one.action == together.action[i]
        np.testing.assert_array_equal(one.visits, together.visits[i])
        np.testing.assert_allclose(one.action_values, together.action_values[i], rtol=1e-4, atol=1e-4)


def test_the_newest_snapshots_are_kept():
    snapshots = []
    for turn in (3, 4, 5, 9, 10, 12, 13):
        scenario = to_dict(from_dict(blank(player=(1, 2), credits=turn))) | {"turn": turn}
        snapshots.append(snapshot(scenario))
    scenario = blank() | {"turn": 14}
    for count in (0, 1, 4, 7):
        deep = from_dict(scenario | {"history": snapshots[:count]}, undo_depth=32)
        recent = jax.jit(history.recent, static_argnums=1)(deep, 4)
        expected = from_dict(scenario | {"history": snapshots[max(0, count - 4) : count]}, undo_depth=4)
        jax.tree.map(np.testing.assert_array_equal, recent, expected)
        assert history.recent(deep, 32) is deep


def test_what_cannot_search_is_named():
    with pytest.raises(TypeError, match=r"greedy.*expected one with a network"):
        hm.SearchPolicy(hm.baselines.greedy)
    with pytest.raises(TypeError, match=r"'pretrained', expected one with a network, as load_policy returns it"):
        hm.SearchPolicy("pretrained")


def test_what_is_no_policy_of_a_network_is_named_in_a_sentence(untrained):
    for wrong in (None, 3, {"params": untrained.params}, hm.SearchPolicy(untrained, 2), hm.evaluate, object()):
        with pytest.raises(TypeError, match="expected one with a network") as told:
            hm.SearchPolicy(wrong, 2)
        assert len(str(told.value)) < 200
    with pytest.raises(TypeError, match=r"policy is a dict, expected one as hm\.load_policy") as told:
        hm.evaluate({"params": untrained.params}, jax.random.key(0), 1)
    assert len(str(told.value)) < 200


def test_a_policy_is_an_argument_or_a_part_of_a_program(untrained):
    """Also a value: it is hashed, compared and pickled."""
    state, key = hm.reset(jax.random.key(3)), jax.random.key(4)
    given = state, hm.observe(state), hm.get_valid_actions(state), key
    for policy in (untrained, hm.SearchPolicy(untrained, 2)):
        act = jax.jit(lambda policy, *given: policy(*given))
        expected, again = policy(*given), pickle.loads(pickle.dumps(policy))
        assert act(policy, *given) == expected
        assert act(again, *given) == expected
        assert jax.jit(lambda policy, *given: policy(*given), static_argnums=0)(policy, *given) == expected
        assert jax.jit(policy).lower(*given)  # compiled, it is the same as the one before
        assert policy == policy
        assert policy != again
        assert len({policy, policy, again}) == 2


@pytest.mark.parametrize("count", [0, -3, 2.5, True])
def test_simulations_are_counted(untrained, count):
    with pytest.raises(ValueError, match="num_simulations is"):
        hm.SearchPolicy(untrained, count)
