"""The JAX game on many states at once, with states going in and out as dictionaries (R12)."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

import hackmatrix_core as hm
from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests import programs
from tests.game.conformance import Outcome, outcome_of
from tests.programs import MANY, take

MAX_ACTIONS = 3
NO_ACTION = -2  # not -1 nor 28, which a step takes for invalid actions


def stack(scenarios: Iterable[dict[str, Any]], undo_depth: int = DEFAULT_UNDO_DEPTH) -> hm.GameState:
    """A batch of states, with NumPy arrays as leaves."""
    states = [hm.scenario.from_dict(scenario, undo_depth) for scenario in scenarios]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


def dictionaries(states: hm.GameState) -> list[dict[str, Any]]:
    """Every state of a batch as a dictionary."""
    states = jax.tree.map(np.asarray, states)
    return [hm.scenario.to_dict(take(states, i)) for i in range(len(states.stage))]


resets = partial(programs.in_batches, programs.reset)
masks = partial(programs.in_batches, programs.get_valid_actions)
observations = partial(programs.in_batches, programs.observe)
steps = partial(programs.in_batches, programs.step)


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
    keys = jax.random.split(key, (MAX_ACTIONS, len(owners) + MANY))
    found: list[dict[bytes, Outcome]] = [{} for _ in actions]
    for start in range(0, len(owners), MANY):
        batch = owners[start : start + MANY]
        index = np.pad(batch, (0, MANY - len(batch)), mode="edge")
        results = steps(take(states, index), padded[index, 0], keys[0, start : start + MANY])
        for depth in range(1, lengths[index].max()):
            now, outcome = results
            plays = (padded[index, depth] != NO_ACTION) & ~outcome.terminated
            later = steps(now, padded[index, depth], keys[depth, start : start + MANY])
            results = jax.tree.map(partial(_where, plays), later, results)
        for i, (owner, code) in enumerate(zip(batch, _codes(results), strict=False)):
            if code in found[owner]:
                found[owner][code]["n"] += 1
            else:
                found[owner][code] = _outcome(*take(results, i)) | {"n": 1}
    return [list(outcomes.values()) for outcomes in found]


def _where(chosen: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), one, other)


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


def assert_same(first, second):
    """That all leaves of two trees are equal, bit for bit and of one dtype."""
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(first)]
    for path, one, other in zip(paths, jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=path)
        assert one.dtype == other.dtype, path
