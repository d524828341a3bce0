"""The command `hackmatrix`: one file a command, and here what they have in common.

Exit codes: 0 done, 1 the task failed, 2 wrong arguments, 129, 130 and 143 stopped by a closed terminal, Ctrl-C and
SIGTERM (a training run has saved by then and can be resumed).

Everything that takes long to import is imported when it is needed, and Ctrl-C is heard by then.
"""

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence

from hackmatrix_core.cli.output import sturdy_output
from hackmatrix_core.errors import UserError
from hackmatrix_core.interrupts import heard


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    try:
        with heard(for_good=arguments is None), sturdy_output(), _warnings_shown():
            return _run(arguments)
    except KeyboardInterrupt:  # before a command has begun
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = make_parser().parse_args(arguments)
        from hackmatrix_core.training.compilation import keep_compiled_programs

        keep_compiled_programs()
        return options.command(options)
    except UserError as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `options.command(options)` carries one out."""
    from hackmatrix_core.cli import benchmark, doctor, evaluate, play, train, watch

    parser = argparse.ArgumentParser(
        prog="hackmatrix", description="Train agents that play HackMatrix, and see how they do."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, evaluate, watch, play, benchmark, doctor):
        command.add(commands)
    return parser


def _fail(message: object, code: int) -> int:
    print(f"hackmatrix: {message}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Within this, a warning is a sentence, without the place in the code."""
    earlier, warnings.showwarning = warnings.showwarning, _show_warning
    try:
        yield
    finally:
        warnings.showwarning = earlier


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"\nwarning: {message}", file=sys.stderr)
