"""Types of arguments, which name what is wrong with a value."""

import argparse
import functools
import os
from decimal import Decimal, InvalidOperation

from hackmatrix_core.training.config import MAX_MINUTES, MAX_SEED


def integer(text: str, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    """An integer in this range, also as in 1e6 and 1_000_000."""
    try:
        value = Decimal(text)
        is_whole = value.is_finite() and value == value.to_integral_value()
    except InvalidOperation:
        is_whole = False
    if not is_whole:
        raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}")
    if not least <= value <= most:
        shown = text if len(text) <= 20 else f"{text[:20]}…"
        raise argparse.ArgumentTypeError(f"{shown} is {f'below {least}' if value < least else f'above {most}'}")
    return int(value)


count = functools.partial(integer, least=0)
at_least_one = functools.partial(integer, least=1)
seed = functools.partial(integer, least=0, most=MAX_SEED)


def minutes(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a positive number of minutes, of at most {MAX_MINUTES:,}")
    return value


def seconds(text: str) -> float:
    """A time of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a number of seconds of at least 0")
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


def add_checkpoint(command: argparse.ArgumentParser, run: str) -> None:
    """Add the option `--checkpoint`: which one of a run's, given by this name."""
    text = f"which of those that {run} has: the number of an update, best (won most in training) or last (default)"
    command.add_argument("--checkpoint", default="last", metavar="N|best|last", help=text)
