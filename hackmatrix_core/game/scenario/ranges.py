"""The ranges of the numbers in a scenario (R12)."""

from hackmatrix_core.game.state import BOARD_SIZE, MAX_HP

MANY = 10**9
"""Far more than a game can bring; the sum of two still fits an int32, so that no action makes a number overflow."""
PLAYER_RANGES = {
    "row": (0, BOARD_SIZE - 1),
    "col": (0, BOARD_SIZE - 1),
    "hp": (0, MAX_HP),
    "credits": (0, MANY),
    "energy": (0, MANY),
    "data_siphons": (0, MANY),
    "attack": (1, MANY),
    "score": (0, MANY),
}
