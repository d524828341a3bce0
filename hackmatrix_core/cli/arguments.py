"""What the commands' parsers share: types of arguments, which name what is wrong with a value."""

import argparse
import os
from collections.abc import Callable

from hackmatrix_core.training.config import MAX_SEED

Commands = argparse._SubParsersAction
"""What the commands are added to."""


def add_simulations(command: argparse.ArgumentParser, text: str) -> None:
    """Add the option `--simulations`: how far a search looks before each action."""
    command.add_argument("--simulations", type=count, default=0, metavar="N", help=f"{text} (default: 0, no search)")


def purpose(command: Callable[[argparse.Namespace], int]) -> str:
    """What a command does, as the docstring of its `run` says it."""
    return (command.__doc__ or "").partition(": ")[2]


def positive(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0 or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of minutes")
    return value


def path(text: str) -> str:
    """A path, or a name that is none; ~ is the home directory, also where a shell leaves it alone."""
    return os.path.expanduser(text)


def count(text: str) -> int:
    """An integer of at least 0."""
    value = integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def integer(text: str) -> int:
    """An integer of a size that a machine can count to."""
    try:
        value = int(text) if len(text) <= 20 else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}") from None
    if value is None or abs(value) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text[:20]}… is too long for a number")
    return value


def seed(text: str) -> int:
    """A seed."""
    if count(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text} is above {MAX_SEED}")
    return int(text)


def at_least_one(text: str) -> int:
    """An integer of at least 1."""
    if integer(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)
