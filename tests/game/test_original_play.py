"""Full games of three policies against the same policies in the original game: the rules as a whole.

The original's figures are means and standard errors of games played there by the protocol of `evaluation`: 4,000 games
of random valid actions, 500 of the greedy walker, 1,900 of the agent that came with version 0.1, with sampled actions.

A rule that is wrong shows in the conformance and differential tests as well, and play that is far off in
`test_evaluation`, with fewer games; these are for what only whole games of a good player come across.
"""

import jax
import numpy as np
import pytest

from hackmatrix_core.agent import pretrained
from hackmatrix_core.agent.policy import BASELINES, NetworkPolicy
from hackmatrix_core.evaluation import compare
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import make_network
from tests import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("as_users_compile")]

GAMES = 1000
ORIGINAL = {
    "random": {"final_stage": (1.169, 0.006), "total_reward": (-3.30, 0.06), "won": (0.0, 0.0)},
    "greedy": {"final_stage": (3.462, 0.044), "total_reward": (2.76, 0.20), "won": (0.0, 0.0)},
    "agent of 0.1": {"final_stage": (7.175, 0.052), "won": (0.526, 0.011)},
}


@pytest.fixture(scope="module")
def played():
    params, about = pretrained.load(ROOT / "tests/data/agent_of_0_1")
    network = make_network(TrainConfig.from_dict(about["config"]), NUM_ACTIONS)
    policies = {"agent of 0.1": NetworkPolicy(params, network)} | BASELINES
    return compare({name: policies[name] for name in ORIGINAL}, jax.random.key(1), GAMES)


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, figures in ORIGINAL.items() for what in figures])
def test_policies_fare_as_in_the_original(played, name, what):
    """Within three standard errors of the difference."""
    values = getattr(played[name], what).astype(np.float64)
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(GAMES)
    recorded_mean, recorded_error = ORIGINAL[name][what]
    assert abs(mean - recorded_mean) <= 3 * np.hypot(error, recorded_error), (mean, error)
