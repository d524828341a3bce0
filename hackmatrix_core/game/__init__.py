"""The rules of HackMatrix as pure functions on one `GameState`; see RULES.md next to this file.

`step.py` puts them together: the player's `actions`, the `enemies`' turn, `rewards`, and the next `stage`. What makes
them fast is in `vectorization`.
"""

# ruff: noqa: F401  # the public names
from hackmatrix_core.game import scenario
from hackmatrix_core.game.actions import ACTION_NAMES, PROGRAM_NAMES
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.observation import split_observation
from hackmatrix_core.game.rewards import REWARD_PARTS
from hackmatrix_core.game.state import GameState
from hackmatrix_core.game.step import Outcome, get_valid_actions, observe, reset, step
