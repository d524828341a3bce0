"""The installed commands from their first moment on: Ctrl-C ends them quietly while Python still imports the package.

They stand outside the package because that takes some tenths of a second to import.
"""

import os
import signal


def _end(*_: object) -> None:
    os.write(2, b"\nhackmatrix: interrupted\n")
    os._exit(130)


def main() -> int:
    """Run the command with the arguments of this process, and return its exit code."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from hackmatrix_core.cli import main

    return main()


def headless() -> int:
    """Run `hackmatrix-headless`, which speaks the original's protocol. Ctrl-C ends it without a word."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the quickest for one game
    from hackmatrix_core.environment.original.server import main
    from hackmatrix_core.training.compilation import keep_compiled_programs

    keep_compiled_programs()
    return main()
