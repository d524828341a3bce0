"""The command `hackmatrix` from its first moment on: Ctrl-C ends it quietly while Python still imports the package.

It stands outside the package because that takes some tenths of a second to import.
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
