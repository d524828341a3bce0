"""The rules take other forms for CPUs, GPUs and TPUs: the same games bit for bit."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.game.vectorization.backend import compiling_for, on_cpu

GAMES, STEPS = 48, 120


@jax.jit
def play(key):
    """Games of random valid actions with auto-reset: the last states, and what was seen on the way."""
    env = hm.HackMatrixGymnax(compact_observations=True, undo_depth=5)

    def act(states, key):
        keys = jax.random.split(key, GAMES)
        masks = jax.vmap(env.get_action_mask)(states)
        actions = jax.vmap(hm.baselines.random, in_axes=(None, None, 0, 0))(None, None, masks, keys)
        obs, states, _, done, _ = jax.vmap(env.step)(keys, states, actions)
        return states, (jnp.sum(obs.astype(jnp.int32), axis=1), masks, done)

    start_key, play_key = jax.random.split(key)
    _, states = jax.vmap(env.reset)(jax.random.split(start_key, GAMES))
    return jax.lax.scan(act, states, jax.random.split(play_key, STEPS))


def fingerprint():
    """Of all that is no float: sums of floats may be taken in another order."""
    states, seen = play(jax.random.key(3))
    numbers = [np.asarray(leaf) for leaf in jax.tree.leaves((states.game, seen))]
    assert states.game.history_length.max() == 5
    assert seen[2].sum() > GAMES
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in numbers)).hexdigest()


@pytest.fixture(scope="module")
def on_a_cpu():
    return fingerprint()


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_all_forms_agree(platform, on_a_cpu):
    with compiling_for(platform):
        assert not on_cpu()
        assert fingerprint() == on_a_cpu
