"""What the 28 actions cost and do, in one line each (R4, R5, R7)."""

from typing import NamedTuple

from hackmatrix_core.game import actions
from hackmatrix_core.game.actions import ACTION_NAMES, PROGRAMS

_DOES = {
    "up": "hit the first enemy or transmission above, or step up",
    "down": "hit the first enemy or transmission below, or step down",
    "left": "hit the first enemy or transmission to the left, or step",
    "right": "hit the first enemy or transmission to the right, or step",
    "siphon": "a data siphon takes all on this cell and the 4 next to it",
    "push": "every enemy is pushed one cell away",
    "pull": "every enemy is pulled one cell nearer",
    "crash": "clear blocks, enemies, transmissions on the 8 cells around",
    "warp": "remove a random enemy or transmission and take its place",
    "poly": "every enemy becomes another type and keeps its damage",
    "wait": "let the enemies have their turn",
    "debug": "hit all enemies that stand on blocks",
    "row": "hit all enemies in your row",
    "col": "hit all enemies in your column",
    "undo": "back to the start of this turn; again: the one before",
    "step": "the next turn of the enemies is skipped",
    "siph+": "get a data siphon",
    "exch": "get 4 energy",
    "show": "see all cryptogs in this stage",
    "reset": "back to 3 hp",
    "calm": "no more scheduled transmissions in this stage",
    "d_bom": "remove the nearest daemon; 1 damage to enemies around it",
    "delay": "all transmissions arrive 3 turns later",
    "anti-v": "1 damage to every virus",
    "score": "get points: 8 minus the stage number",
    "reduc": "every block not yet siphoned will bring one enemy fewer",
    "atk+": "attack + 1 for the whole game; at most twice a stage",
    "hack": "hit all enemies on siphoned cells",
}


_UNITS = (("credits", "c"), ("energy", "e"), ("data_siphons", "s"))


class Action(NamedTuple):
    """One action for a person to read."""

    name: str
    """As in R4 and R7."""
    credits: int
    energy: int
    data_siphons: int
    does: str
    """What it does, in at most 60 characters."""

    @property
    def cost(self) -> str:
        """What it costs, as in "3 credits, 1 energy"; "free" if nothing."""
        amounts = ((getattr(self, name), name) for name, _ in _UNITS)
        return ", ".join(counted(number, name) for number, name in amounts if number) or "free"

    @property
    def price(self) -> str:
        """What it costs, as in "3c 1e": c credits, e energy, s data siphons; empty if nothing."""
        amounts = ((getattr(self, name), unit) for name, unit in _UNITS)
        return " ".join(f"{number}{unit}" for number, unit in amounts if number)


def counted(number: int, name: str) -> str:
    """So many credits, energy or data_siphons in words, as in "1 data siphon"."""
    words = name.replace("_", " ")
    return f"{number} {words.removesuffix('s') if number == 1 else words}"


def _action(number: int, name: str) -> Action:
    if number < actions.FIRST_PROGRAM:
        return Action(name, 0, 0, int(name == "siphon"), _DOES[name])
    program = PROGRAMS[number - actions.FIRST_PROGRAM]
    return Action(name, program.credits, program.energy, 0, _DOES[name])


ACTIONS = tuple(_action(number, name) for number, name in enumerate(ACTION_NAMES))
"""The 28 actions in their order."""
