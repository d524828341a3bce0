"""The loops through the tree of a search are those of mctx, bit for bit."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
from mctx._src import search as mctx_search

from hackmatrix_core.agent import tree
from hackmatrix_core.agent.objective import Objective
from hackmatrix_core.agent.search import search
from tests.training import probe_environments as probes

ACTIONS, GAMES, SIMULATIONS = 5, 12, 60


class Maze(probes.Probe):
    """Each action leads somewhere else, with a reward of its own; an episode ends after seven."""

    num_actions = ACTIONS
    steps = 7

    def cue(self, key):
        return jax.random.randint(key, (), 0, 1 << 20, jnp.int32)

    def observe(self, state):
        return state.cue[None].astype(jnp.float32)

    def step_env(self, key, state, action, params):
        state = state._replace(cue=(state.cue * 7919 + action.astype(jnp.int32) * 104_729) % (1 << 20))
        return super().step_env(key, state, action, params)

    def reward(self, state, action):
        return jnp.sin(state.cue.astype(jnp.float32))

    def get_action_mask(self, state):
        return (state.cue >> np.arange(ACTIONS, dtype=np.int32)) % 4 != 0


def evaluate(observations):
    """A network that is sure of one action or the other, so that the trees grow deep."""
    towards = np.arange(1, ACTIONS + 1, dtype=np.float32)
    return 6 * jnp.sin(observations * towards[None]), jnp.cos(observations[:, 0])


def thoughts():
    env = Maze()
    keys = jax.vmap(jax.random.key)(jnp.arange(GAMES, dtype=jnp.int32))
    observations, states = jax.vmap(env.reset, (0, None))(keys, None)

    def think(state, observation, key):
        mask = env.get_action_mask(state)
        return search(env, Objective(gamma=0.9), SIMULATIONS, evaluate, None, state, observation, mask, key)

    given = jax.tree.map(lambda x: x.reshape(3, 4, *x.shape[1:]), (states, observations, keys))
    return jax.jit(jax.vmap(jax.vmap(think)))(*given)


def test_the_loops_are_those_of_mctx(monkeypatch):
    """If this fails with a new mctx, `simulate` or `backward` there has changed: take over what is new."""
    expected, entered = thoughts(), []

    @contextlib.contextmanager
    def own_loops():
        yield entered.append(mctx_search.backward)

    monkeypatch.setattr("hackmatrix_core.agent.search.fast_loops", own_loops)
    jax.tree.map(np.testing.assert_array_equal, expected, thoughts())
    assert entered == [mctx_search.backward]
    assert np.ptp(np.asarray(expected.visits)) > 10


def test_mctx_is_left_as_it_was():
    own = mctx_search.simulate, mctx_search.backward
    with contextlib.suppress(ZeroDivisionError), tree.fast_loops():
        assert mctx_search.backward is not own[1]
        raise ZeroDivisionError
    assert (mctx_search.simulate, mctx_search.backward) == own
