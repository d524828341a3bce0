"""Trained agents, and the baselines, as policies: by the directory of a run or by name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn

from hackmatrix_core.agent import own_network, pretrained
from hackmatrix_core.agent.policy import BASELINES, NetworkPolicy, Policy
from hackmatrix_core.agent.pretrained import AGENTS
from hackmatrix_core.errors import shown
from hackmatrix_core.game.actions import NUM_ACTIONS
from hackmatrix_core.game.observation import OBSERVATION_SIZE
from hackmatrix_core.training.checkpoints import (
    CheckpointError,
    check_network,
    chosen_update,
    config_in,
    find,
    load_params,
)
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.hyperparameters import Hyperparameters
from hackmatrix_core.training.runner import make_network


def load_policy(
    path_or_name: str | os.PathLike,
    *,
    greedy: bool = False,
    checkpoint: int | str = "last",
    network: nn.Module | None = None,
) -> Policy:
    """The policy of a run, a pretrained agent, or a baseline by its name.

    Args:
        path_or_name: `pretrained` (plays to win), `pretrained-points` (plays for points), `random`, `greedy`, or a
            path: a run directory (its newest checkpoint), or one checkpoint in it.
        greedy: for a network: the likeliest action instead of a sampled one.
        checkpoint: of a run: `last`, `best` (won most in training) or the number of an update.
        network: that the run was trained with, where it is one of your own that cannot be imported.

    Raises:
        CheckpointError: no checkpoint there, or it cannot be read, or is one of another network.
        NetworkError: the run's own network cannot be imported.
    """
    path_or_name = checkpoint_of(path_or_name, checkpoint)
    if isinstance(path_or_name, str) and path_or_name in BASELINES:
        return BASELINES[path_or_name]
    params, about = stored_params(path_or_name, names=(*AGENTS, *BASELINES))
    config = TrainConfig.from_dict(about["config"])
    done = about.get("update", config.num_updates) / config.num_updates
    is_own = network is not None or config.network is not None
    network = make_network(config, NUM_ACTIONS) if network is None else network
    if is_own:
        check_network(own_network.check(network, OBSERVATION_SIZE, NUM_ACTIONS), params)
    objective = Hyperparameters.of(config).objective(bool(config.symlog_rewards), done)
    return NetworkPolicy(params, network, greedy, objective)


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


def checkpoint_of(path_or_name: str | os.PathLike, checkpoint: int | str = "last") -> str | os.PathLike:
    """The path of one checkpoint of a run, `DIR/checkpoints/N`; for the last one it is what was given.

    Args:
        path_or_name: as for `load_policy`.
        checkpoint: the same.

    Raises:
        CheckpointError: there is no such checkpoint, or none to choose from.
    """
    if checkpoint == "last":
        return path_or_name
    is_name = isinstance(path_or_name, str) and path_or_name in (*AGENTS, *BASELINES)
    folder, update = find(path_or_name)
    if is_name or update is not None:
        what = "comes with the package" if is_name else "is one checkpoint of its run"
        raise CheckpointError(f"{path_or_name} {what}: there is no checkpoint {shown(checkpoint)} to choose")
    number = chosen_update(path_or_name, checkpoint)
    return Path(path_or_name, folder.relative_to(Path(path_or_name).expanduser().absolute()), str(number))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
