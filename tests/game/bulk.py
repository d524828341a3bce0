"""The JAX game on many states at once, with states going in and out as dictionaries (R12)."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hackmatrix_core as hm
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests.game.conformance import Outcome, outcome_of

BATCH = 2048  # of one size, so that the step is compiled once
MAX_ACTIONS = 3
NO_ACTION = -2  # not -1 nor 28, which a step takes for invalid actions


def stack(scenarios: Iterable[dict[str, Any]], undo_depth: int = DEFAULT_UNDO_DEPTH) -> hm.GameState:
    """A batch of states, with NumPy arrays as leaves."""
    states = [hm.scenario.from_dict(scenario, undo_depth) for scenario in scenarios]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


def take(batch: Any, index: Any) -> Any:
    """Some or one of the entries of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], batch)


def dictionaries(states: hm.GameState) -> list[dict[str, Any]]:
    """Every state of a batch as a dictionary."""
    states = jax.tree.map(np.asarray, states)
    return [hm.scenario.to_dict(take(states, i)) for i in range(len(states.stage))]


masks = jax.jit(jax.vmap(hm.get_valid_actions))
observations = jax.jit(jax.vmap(hm.observe))
steps = jax.jit(jax.vmap(hm.step))


@jax.jit
@jax.vmap
def _play_on(state, outcome, action, key):
    """One more action, unless the game is done or there is none."""
    plays = (action != NO_ACTION) & ~outcome.terminated
    return jax.tree.map(partial(jnp.where, plays), hm.step(state, action, key), (state, outcome))


def play(
    states: hm.GameState, actions: Sequence[Sequence[int]], repeats: Sequence[int], key: jax.Array
) -> list[list[Outcome]]:
    """Play a sequence of one to three actions from each state with several random keys, stopping when done.

    Returns:
        For each state its outcomes in the form of the recordings. Equal ones of them are there as one; how often each
        came out is its "n".
    """
    lengths = np.array([len(sequence) for sequence in actions])
    padded = np.array([[*sequence, *[NO_ACTION] * (MAX_ACTIONS - len(sequence))] for sequence in actions], np.int32)
    owners = np.repeat(np.arange(len(actions)), repeats)
    owners = owners[np.argsort(lengths[owners], kind="stable")]
    keys = jax.random.split(key, (MAX_ACTIONS, len(owners) + BATCH))
    shape = jax.eval_shape(steps, take(states, np.zeros(BATCH, int)), padded[:1, 0].repeat(BATCH), keys[0, :BATCH])[1]
    found: list[dict[bytes, Outcome]] = [{} for _ in actions]
    for start in range(0, len(owners), BATCH):
        batch = owners[start : start + BATCH]
        index = np.pad(batch, (0, BATCH - len(batch)), mode="edge")
        results = take(states, index), jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shape)
        for depth in range(lengths[index].max()):
            results = _play_on(*results, padded[index, depth], keys[depth, start : start + BATCH])
        results = jax.tree.map(np.asarray, results)
        for i, (owner, code) in enumerate(zip(batch, _codes(results), strict=False)):
            if code in found[owner]:
                found[owner][code]["n"] += 1
            else:
                found[owner][code] = _outcome(*take(results, i)) | {"n": 1}
    return [list(outcomes.values()) for outcomes in found]


def _codes(batch: Any) -> list[bytes]:
    """Bytes for each entry of a batch, equal for equal entries."""
    rows = [np.ascontiguousarray(leaf.reshape(len(leaf), -1)).view(np.uint8) for leaf in jax.tree.leaves(batch)]
    return [row.tobytes() for row in np.concatenate(rows, axis=1)]


def _outcome(state: hm.GameState, result: Any) -> Outcome:
    return outcome_of(hm.scenario.to_dict(state), result)


def snapshots(states, i):
    """The packed snapshots of game i, oldest first: uint32 (number, 84)."""
    start, length = states.history_start[i], states.history_length[i]
    return np.roll(states.history[i], -start, axis=0)[:length]
