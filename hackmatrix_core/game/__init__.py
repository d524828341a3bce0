"""The rules of HackMatrix as pure functions on one `GameState`; see RULES.md beside this file."""

from hackmatrix_core.game import scenario
from hackmatrix_core.game.state import GameState
from hackmatrix_core.game.step import Outcome, get_valid_actions, observe, reset, step

__all__ = ["GameState", "Outcome", "get_valid_actions", "observe", "reset", "scenario", "step"]
