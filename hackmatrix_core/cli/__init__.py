"""The command `hackmatrix`: one file a command, and here what they have in common.

Exit codes: 0 done, 1 the task failed, 2 wrong arguments, 129, 130 and 143 stopped by a closed terminal, Ctrl-C and
SIGTERM (a training run has saved by then and can be resumed).

Everything that takes long to import is imported when it is needed, after Ctrl-C has been taken care of.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from hackmatrix_core.cli.output import make_output_sturdy
from hackmatrix_core.errors import UserError
from hackmatrix_core.interrupts import end_at_interrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return its exit code.

    Without arguments it takes those of the process, which is then its own: Ctrl-C ends it, and failing output does not.
    """
    if arguments is None:
        end_at_interrupt()
        make_output_sturdy()
        sys.path.append("")  # a network of the user's own may lie in the folder where the command runs
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options = make_parser().parse_args(arguments)
            from hackmatrix_core.training.compilation import keep_compiled_programs

            keep_compiled_programs()
            return options.command(options)
    except UserError as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if lack := _lack(error):
            return _fail(lack, 1)
        raise


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `options.command(options)` carries one out."""
    from hackmatrix_core.cli import benchmark, doctor, evaluate, original, play, sweep, train, watch

    parser = argparse.ArgumentParser(
        prog="hackmatrix", description="Train agents that play HackMatrix, and see how they do."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (train, sweep, evaluate, watch, play, original, benchmark, doctor):
        name, text = module.__name__.rpartition(".")[2], (module.run.__doc__ or "").rstrip(".")
        command = commands.add_parser(name, help=f"{text[:1].lower()}{text[1:]}", description=f"{text}.")
        command.set_defaults(command=module.run)
        module.add_arguments(command)
    return parser


def _lack(error: Exception) -> str | None:
    """What this machine lacks, if that is behind an error: memory, or what JAX was told to compute on."""
    import jax

    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return f"there is not enough memory. Choose smaller numbers ({_reason(error)})"
    if "Unable to initialize backend" not in str(error):
        try:
            jax.devices()
            return None
        except Exception as missing:
            error = missing
    return (
        f"JAX cannot compute on {os.environ.get('JAX_PLATFORMS') or 'this machine'}: "
        f"{_reason(error) or 'there is no such device'}. Set JAX_PLATFORMS=cpu for the CPU; a GPU needs pip install "
        "'jax[cuda12]', a TPU 'jax[tpu]'"
    )


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(" (")[0][:200].rstrip(".")


def _fail(message: object, code: int) -> int:
    print(f"hackmatrix: {message}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a sentence, without the place in the code."""
    print(f"\nwarning: {message}", file=sys.stderr)
