"""HackMatrix in JAX: the game, its environment and masked PPO."""

from hackmatrix_core.game import GameState, Outcome, get_valid_actions, observe, reset, scenario, step

__all__ = ["GameState", "Outcome", "get_valid_actions", "observe", "reset", "scenario", "step"]
