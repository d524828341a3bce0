"""HackMatrix in JAX: the game, its environment and masked PPO.

The game and the environment are imported at once, the learning side when it is first asked for: it brings flax, optax,
distrax and orbax along, which take longer to import than JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hackmatrix_core.environment.gymnax_env import EnvParams, EnvState, HackMatrixGymnax
from hackmatrix_core.environment.gymnax_v1 import HackMatrixGymnaxV1
from hackmatrix_core.game import GameState, Outcome, get_valid_actions, observe, reset, scenario, step

if TYPE_CHECKING:
    from hackmatrix_core.agent import baselines
    from hackmatrix_core.agent.network import ActorCritic, masked_categorical
    from hackmatrix_core.agent.policy import load_policy
    from hackmatrix_core.environment.gymnasium_env import HackMatrixGymnasium
    from hackmatrix_core.evaluation import evaluate
    from hackmatrix_core.playing.notebook import play
    from hackmatrix_core.training.config import TrainConfig, auto_tune_for_device, get_device_config
    from hackmatrix_core.training.masked_ppo import Transition, compute_gae, ppo_loss
    from hackmatrix_core.training.trainer import Trainer, make_train
    from hackmatrix_core.viewing import rendering
    from hackmatrix_core.viewing.recording import Episode, record
    from hackmatrix_core.viewing.replay import Replay, replay

_ON_DEMAND = {
    "ActorCritic": "network",
    "Episode": "recording",
    "HackMatrixGymnasium": "gymnasium_env",
    "Replay": "rendering.replay",
    "TrainConfig": "config",
    "Trainer": "train",
    "Transition": "masked_ppo",
    "auto_tune_for_device": "config",
    "baselines": None,
    "compute_gae": "masked_ppo",
    "evaluate": "evaluation",
    "get_device_config": "config",
    "load_policy": "policy",
    "make_train": "train",
    "masked_categorical": "network",
    "play": "playing.notebook",
    "ppo_loss": "masked_ppo",
    "record": "recording",
    "rendering": None,
    "replay": "rendering.replay",
}

__all__ = [
    "ActorCritic",
    "EnvParams",
    "EnvState",
    "Episode",
    "GameState",
    "HackMatrixGymnasium",
    "HackMatrixGymnax",
    "HackMatrixGymnaxV1",
    "Outcome",
    "Replay",
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
    "step",
]


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _ON_DEMAND[name]
    module = importlib.import_module(f"{__name__}.{home or name}")
    value = module if home is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
