"""The rules are written in two forms, for the CPU and for other platforms: the same games bit for bit."""

import hashlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

import hackmatrix_core as hm
from tests import ROOT

GAMES, STEPS = 48, 120
OTHER_FORM = """
import jax
jax.default_backend = lambda: "gpu"  # as far as the rules can tell
from hackmatrix_core.game.vectorization.backend import on_cpu
from tests.game import test_platforms
assert not on_cpu()
print(test_platforms.fingerprint())
"""


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


def test_both_forms_agree():
    other = subprocess.run([sys.executable, "-c", OTHER_FORM], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert other.returncode == 0, other.stderr
    assert other.stdout.split()[-1] == fingerprint()
