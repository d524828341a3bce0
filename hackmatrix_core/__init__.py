"""HackMatrix in JAX: the game, its environment and masked PPO.

The game and the environment are imported at once, the learning side on first use: it brings in flax, optax, distrax
and orbax, which take longer to import than JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hackmatrix_core import viewing as _viewing  # noqa: F401  # registers how a state is drawn
from hackmatrix_core.environment import registration as _registration
from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.environment.gymnax_v1 import HackMatrixGymnaxV1
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

_registration.register()

if TYPE_CHECKING:
    from hackmatrix_core.agent import baselines
    from hackmatrix_core.agent.network import ActorCritic, masked_categorical
    from hackmatrix_core.agent.search import SearchPolicy
    from hackmatrix_core.environment.gymnasium_env import HackMatrixGymnasium
    from hackmatrix_core.environment.vector_env import HackMatrixVectorEnv
    from hackmatrix_core.evaluation import evaluate
    from hackmatrix_core.playing.notebook import play
    from hackmatrix_core.training.config import TrainConfig, auto_tune_for_device, get_device_config
    from hackmatrix_core.training.loading import load_policy
    from hackmatrix_core.training.masked_ppo import Transition, compute_gae, ppo_loss
    from hackmatrix_core.training.trainer import Trainer, make_train
    from hackmatrix_core.viewing import rendering
    from hackmatrix_core.viewing.recording import Episode, record
    from hackmatrix_core.viewing.replay import Replay, replay

_ON_DEMAND = {
    "ActorCritic": "agent.network",
    "Episode": "viewing.recording",
    "HackMatrixGymnasium": "environment.gymnasium_env",
    "HackMatrixVectorEnv": "environment.vector_env",
    "Replay": "viewing.replay",
    "SearchPolicy": "agent.search",
    "TrainConfig": "training.config",
    "Trainer": "training.trainer",
    "Transition": "training.masked_ppo",
    "auto_tune_for_device": "training.config",
    "baselines": "agent",
    "compute_gae": "training.masked_ppo",
    "evaluate": "evaluation",
    "get_device_config": "training.config",
    "load_policy": "training.loading",
    "make_train": "training.trainer",
    "masked_categorical": "agent.network",
    "play": "playing.notebook",
    "ppo_loss": "training.masked_ppo",
    "record": "viewing.recording",
    "rendering": "viewing",
    "replay": "viewing.replay",
}

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
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_ON_DEMAND[name]}")
    value = getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{home.__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
