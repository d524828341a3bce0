"""The command `hackmatrix play`."""

import argparse
import sys

from hackmatrix_core.cli.arguments import path, seed
from hackmatrix_core.errors import UsageError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    command.add_argument("--seed", type=seed, metavar="N", help="decides the game (default: at random)")
    command.add_argument("--scenario", type=path, metavar="FILE", help="start from the state in this file (JSON, R12)")


def run(options: argparse.Namespace) -> int:
    """Play the game yourself in this terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("play needs a terminal, but its input or its output is not one. Start it in a terminal window")
    from hackmatrix_core.playing import terminal
    from hackmatrix_core.playing.session import PlayError

    try:
        return terminal.play(options.seed, options.scenario)
    except PlayError as error:
        raise UsageError(error) from error
