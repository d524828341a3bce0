"""Long play of the original with many undos, every step of it (R8.3): no chance is in it, so all has to agree."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pytest

from hackmatrix_core.game.state import DEFAULT_UNDO_DEPTH
from tests import programs
from tests.game import bulk, conformance


class Play(NamedTuple):
    """Chains side by side; what comes after the end of a chain means nothing."""

    masks: np.ndarray  # bool (chains, steps + 1, 28)
    observations: np.ndarray  # uint8 (chains, steps + 1, 1545), compact
    rewards: np.ndarray  # float32 (chains, steps)
    done: np.ndarray  # bool (chains, steps)
    history_lengths: np.ndarray  # int32 (chains, steps + 1)


@pytest.fixture(scope="module")
def chains():
    return conformance.load("undo_chains")


@pytest.fixture(scope="module")
def actions(chains):
    """(chains, steps), -1 where a chain is over."""
    longest = max(len(chain["steps"]) for chain in chains)
    return np.array([padded([step["action"] for step in chain["steps"]], longest, -1) for chain in chains], np.int32)


@pytest.fixture(scope="module")
def recorded(chains, actions):
    """In the form of a `Play`, without the lengths of the histories, of which nothing is recorded."""
    looks = [[chain["start"], *chain["steps"]] for chain in chains]
    longest = actions.shape[1]

    def of_steps(name):
        return np.array([padded([step[name] for step in chain["steps"]], longest, 0) for chain in chains])

    def of_looks(read):
        filler = read(looks[0][0])
        return np.array([padded([read(look) for look in chain], longest + 1, filler) for chain in looks])

    read = partial(conformance.dense_observation, dtype=np.uint8)
    return Play(of_looks(conformance.mask_of), of_looks(read), of_steps("reward"), of_steps("done"), None)


@pytest.fixture(scope="module")
def lasts(actions):
    """Whether the chain has not ended before a look: bool (chains, steps + 1)."""
    return np.pad(actions >= 0, ((0, 0), (1, 0)), constant_values=True)


@pytest.fixture(scope="module")
def at_default(chains, actions):
    return played(chains, actions, DEFAULT_UNDO_DEPTH)


def padded(entries, length, filler):
    return [*entries, *[filler] * (length - len(entries))]


def played(chains, actions, undo_depth):
    states = bulk.stack((chain["state"] for chain in chains), undo_depth)
    keys = jax.random.split(jax.random.key(0), len(chains))
    looks, outcomes = [looked_at(states)], []
    for chosen in actions.T:
        states, outcome = programs.few(programs.step, states, chosen, keys)
        looks.append(looked_at(states))
        outcomes.append((outcome.reward, outcome.terminated))
    masks, observations, history_lengths = (np.stack(part, axis=1) for part in zip(*looks, strict=True))
    rewards, done = (np.stack(part, axis=1) for part in zip(*outcomes, strict=True))
    return Play(masks, observations, rewards, done, history_lengths)


def looked_at(states):
    masks, observations = (
        programs.few(program, states) for program in (programs.get_valid_actions, programs.observe_compact)
    )
    return masks, observations, states.history_length


def differences(ours, recorded, lasts):
    """What differs at which look or step: bool (chains, steps + 1) each, True where it does and the chain still lasts.

    In a lost game the original calls nothing valid; there the masks are not compared.
    """
    is_over = np.pad(recorded.done, ((0, 0), (1, 0)))
    rewards = np.abs(ours.rewards - recorded.rewards) > 1e-5 * (1 + np.abs(recorded.rewards))
    found = {
        "mask": (ours.masks != recorded.masks).any(axis=2) & ~is_over,
        "observation": (ours.observations != recorded.observations).any(axis=2),
        "reward": np.pad(rewards, ((0, 0), (1, 0))),
        "done": np.pad(ours.done != recorded.done, ((0, 0), (1, 0))),
    }
    return {name: differs & lasts for name, differs in found.items()}


def test_every_step_of_every_chain(at_default, recorded, lasts):
    """At the default depth nobody notices that it is not unlimited."""
    assert lasts[:, 1:].sum() == 5292
    found = differences(at_default, recorded, lasts)
    assert {name: np.argwhere(differs).tolist() for name, differs in found.items() if differs.any()} == {}


@pytest.mark.parametrize(("undo_depth", "shortened"), [(4, 60), (32, 2)])
def test_a_shallow_history_shows_when_it_is_used_up_and_no_sooner(
    chains, actions, at_default, recorded, lasts, undo_depth, shortened
):
    """So the test above can fail. The mask is the first that differs: UNDO is missing."""
    ours = played(chains, actions, undo_depth)
    found = differences(ours, recorded, lasts)
    used_up = lasts & (ours.history_lengths == 0) & (at_default.history_lengths > 0)
    assert used_up.any(axis=1).sum() == shortened
    first = np.where(used_up.any(axis=1), used_up.argmax(axis=1), lasts.shape[1])
    before = np.arange(lasts.shape[1])[None] < first[:, None]
    assert not any((differs & before).any() for differs in found.values())
    for chain, at in enumerate(first):
        if at < lasts.shape[1]:
            missing = np.flatnonzero(recorded.masks[chain, at] & ~ours.masks[chain, at])
            assert missing.tolist() == [conformance.UNDO]
            assert not found["observation"][chain, at]
