"""A plain simulator of the game, written from its rules alone: the independent oracle of the tests.

It works on states in the dictionary form of R12 and never changes the one it is given. All chance comes from `choice`,
`choices` and `sample` of a `random.Random`, so that `branches` can follow each possibility. Rule numbers are those of
the rules.
"""

from .chance import Branch, TooManyBranchesError, branches
from .game import Outcome, step, valid_actions
from .observation import observe
from .stage import reset
from .tables import MAX_ENTITIES, NUM_ACTIONS, PROGRAM_NAMES, REWARD_PARTS

__all__ = [
    "MAX_ENTITIES",
    "NUM_ACTIONS",
    "PROGRAM_NAMES",
    "REWARD_PARTS",
    "Branch",
    "Outcome",
    "TooManyBranchesError",
    "branches",
    "observe",
    "reset",
    "step",
    "valid_actions",
]
