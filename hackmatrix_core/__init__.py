"""HackMatrix in JAX: the game, its environment and masked PPO.

Each name is imported on first use: JAX takes a second, and the learning side as long again.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hackmatrix_core.environment import forks as _forks
from hackmatrix_core.environment import registration as _registration

_forks.watch()
_registration.register()

if TYPE_CHECKING:
    from hackmatrix_core.agent import baselines
    from hackmatrix_core.agent.network import ActorCritic, masked_categorical
    from hackmatrix_core.agent.search import SearchPolicy
    from hackmatrix_core.environment.gymnasium_env import HackMatrixGymnasium
    from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax
    from hackmatrix_core.environment.gymnax_v1 import HackMatrixGymnaxV1
    from hackmatrix_core.environment.parallel import jit
    from hackmatrix_core.environment.vector_env import HackMatrixVectorEnv
    from hackmatrix_core.evaluation import evaluate
    from hackmatrix_core.game import (
        ACTION_NAMES,
        ENEMY_NAMES,
        PROGRAM_NAMES,
        REWARD_PARTS,
        GameState,
        Outcome,
        get_valid_actions,
        observe,
        reset,
        scenario,
        split_observation,
        step,
    )
    from hackmatrix_core.notebook.game_in_a_cell import play
    from hackmatrix_core.training.config import TrainConfig
    from hackmatrix_core.training.loading import load_policy
    from hackmatrix_core.training.ppo import Transition, compute_gae, ppo_loss
    from hackmatrix_core.training.trainer import Trainer, make_train
    from hackmatrix_core.training.tuning import auto_tune_for_device, get_device_config
    from hackmatrix_core.viewing import rendering
    from hackmatrix_core.viewing.recording import Episode, record
    from hackmatrix_core.viewing.replay import Replay, replay

_HOMES = {
    "ACTION_NAMES": "game",
    "ActorCritic": "agent.network",
    "ENEMY_NAMES": "game",
    "EnvParams": "environment.gymnax_env",
    "EnvState": "environment.gymnax_env",
    "Episode": "viewing.recording",
    "GameState": "game",
    "HackMatrixGymnasium": "environment.gymnasium_env",
    "HackMatrixGymnax": "environment.gymnax_env",
    "HackMatrixGymnaxV1": "environment.gymnax_v1",
    "HackMatrixVectorEnv": "environment.vector_env",
    "Outcome": "game",
    "PROGRAM_NAMES": "game",
    "REWARD_PARTS": "game",
    "Replay": "viewing.replay",
    "SearchPolicy": "agent.search",
    "TrainConfig": "training.config",
    "Trainer": "training.trainer",
    "Transition": "training.ppo",
    "auto_tune_for_device": "training.tuning",
    "baselines": "agent",
    "compute_gae": "training.ppo",
    "evaluate": "evaluation",
    "get_device_config": "training.tuning",
    "get_valid_actions": "game",
    "jit": "environment.parallel",
    "load_policy": "training.loading",
    "make_train": "training.trainer",
    "masked_categorical": "agent.network",
    "observe": "game",
    "play": "notebook.game_in_a_cell",
    "ppo_loss": "training.ppo",
    "record": "viewing.recording",
    "rendering": "viewing",
    "replay": "viewing.replay",
    "reset": "game",
    "scenario": "game",
    "split_observation": "game",
    "step": "game",
}

_ROOMS = (
    "agent",
    "benchmark",
    "cli",
    "environment",
    "evaluation",
    "game",
    "notebook",
    "playing",
    "training",
    "viewing",
)

__all__ = [
    "ACTION_NAMES",
    "ENEMY_NAMES",
    "PROGRAM_NAMES",
    "REWARD_PARTS",
    "ActorCritic",
    "EnvParams",
    "EnvState",
    "Episode",
    "GameState",
    "HackMatrixGymnasium",
    "HackMatrixGymnax",
    "HackMatrixGymnaxV1",
    "HackMatrixVectorEnv",
    "Outcome",
    "Replay",
    "SearchPolicy",
    "TrainConfig",
    "Trainer",
    "Transition",
    "auto_tune_for_device",
    "baselines",
    "compute_gae",
    "evaluate",
    "get_device_config",
    "get_valid_actions",
    "jit",
    "load_policy",
    "make_train",
    "masked_categorical",
    "observe",
    "play",
    "ppo_loss",
    "record",
    "rendering",
    "replay",
    "reset",
    "scenario",
    "split_observation",
    "step",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{home.__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
