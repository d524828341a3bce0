"""Trained agents, and the baselines, as policies: by the directory of a run or by name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hackmatrix_core.agent import pretrained
from hackmatrix_core.agent.policy import BASELINES, NetworkPolicy, Policy
from hackmatrix_core.agent.pretrained import AGENTS
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.training.checkpoints import CheckpointError, config_in, load_params
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.runner import make_network


def load_policy(path_or_name: str | os.PathLike, *, greedy: bool = False) -> Policy:
    """The policy of a run, a pretrained agent, or a baseline by its name.

    Args:
        path_or_name: `pretrained` (plays to win), `pretrained-points` (plays for points), `random`, `greedy`, or a
            path: a run directory (its newest checkpoint), or one checkpoint in it.
        greedy: for a network: the likeliest action instead of a sampled one.

    Raises:
        CheckpointError: no checkpoint there, or it cannot be read.
    """
    if isinstance(path_or_name, str) and path_or_name in BASELINES:
        return BASELINES[path_or_name]
    params, about = stored_params(path_or_name, names=(*AGENTS, *BASELINES))
    config = TrainConfig.from_dict(about["config"])
    done = about.get("update", config.num_updates) / config.num_updates
    objective = Hyperparameters.of(config).objective(bool(config.symlog_rewards), done)
    return NetworkPolicy(params, make_network(config, NUM_ACTIONS), greedy, objective)


def stored_params(path_or_name: str | os.PathLike, names: Sequence[str] = tuple(AGENTS)) -> tuple[Any, dict[str, Any]]:
    """A network's parameters and their description: a pretrained agent's, or as `load_params` reads a run's.

    Args:
        path_or_name: as for `load_policy`, no baseline.
        names: those that may be given instead of a path, for the message.

    Raises:
        CheckpointError: as for `load_policy`; also where the network is one of another version.
    """
    if folder := pretrained.folder_of(path_or_name):
        return pretrained.load(folder)
    if not os.path.exists(os.path.expanduser(path_or_name)):
        place = Path(os.path.expanduser(path_or_name)).absolute()
        raise CheckpointError(f"{place} does not exist. Give the directory of a training run, or {_listed(names)}")
    params, about = load_params(path_or_name)
    config_in(about, path_or_name)  # raises where this version has no such network
    return params, about


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
