"""Trained agents, and the baselines, as policies: by the directory of a run or by name."""

import os
from typing import Any

from hackmatrix_core.agent import pretrained
from hackmatrix_core.agent.policy import BASELINES, NetworkPolicy, Policy
from hackmatrix_core.game.state import NUM_ACTIONS
from hackmatrix_core.training.checkpointing import load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.runner import make_network, objective_of


def load_policy(path_or_name: str | os.PathLike, *, greedy: bool = False) -> Policy:
    """The policy of a run, a pretrained agent, or a baseline by its name.

    Args:
        path_or_name: `pretrained` (plays to win), `pretrained-points` (plays for points), `random`, `greedy`, or a
            path: a run directory (its newest checkpoint), or one checkpoint in it.
        greedy: for a network: the likeliest action instead of a sampled one.

    Raises:
        CheckpointError: no checkpoint there, or it cannot be read.
    """
    if path_or_name in BASELINES:
        return BASELINES[path_or_name]
    params, about = stored_params(path_or_name)
    config = TrainConfig.from_dict(about["config"])
    return NetworkPolicy(params, make_network(config, NUM_ACTIONS), greedy, objective_of(config))


def stored_params(path_or_name: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """A network's parameters and their description: a pretrained agent's, or as `load_params` reads a run's."""
    folder = pretrained.folder_of(path_or_name)
    return pretrained.load(folder) if folder else load_params(path_or_name)
