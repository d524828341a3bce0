"""Types of arguments, which name what is wrong with a value."""

import argparse
import functools
import os

from hackmatrix_core.training.config import MAX_SEED


def integer(text: str, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    """An integer in this range."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}") from None
    if not least <= value <= most:
        shown = text if len(text) <= 20 else f"{text[:20]}…"
        raise argparse.ArgumentTypeError(f"{shown} is {f'below {least}' if value < least else f'above {most}'}")
    return value


count = functools.partial(integer, least=0)
at_least_one = functools.partial(integer, least=1)
seed = functools.partial(integer, least=0, most=MAX_SEED)


def minutes(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of minutes")
    return value


def reward(text: str) -> tuple[str, float]:
    """The name of a reward part and its weight, as in kills=3."""
    name, _, weight = text.partition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not PART=WEIGHT, as in kills=3") from None


def path(text: str) -> str:
    """A path, or a name that is none; ~ is the home directory, also where a shell leaves it alone."""
    return os.path.expanduser(text)


def add_simulations(command: argparse.ArgumentParser, text: str) -> None:
    """Add the option `--simulations`: how far a search looks before each action."""
    command.add_argument("--simulations", type=count, default=0, metavar="N", help=f"{text} (default: 0, no search)")
