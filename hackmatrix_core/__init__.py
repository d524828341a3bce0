"""HackMatrix in JAX: the game, its environment and masked PPO."""

from hackmatrix_core.game import GameState, Outcome, get_valid_actions, observe, reset, scenario, step
from hackmatrix_core.wrapper import EnvParams, EnvState, HackMatrixGymnax

__all__ = [
    "EnvParams",
    "EnvState",
    "GameState",
    "HackMatrixGymnax",
    "Outcome",
    "get_valid_actions",
    "observe",
    "reset",
    "scenario",
    "step",
]
