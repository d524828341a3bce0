"""Errors for a user's mistakes. The command line prints such an error as one sentence, without a traceback."""


class UserError(Exception):
    """What was asked for cannot be done; the message says why and what to do. `exit_code` is that of the command."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # all that a notebook shows of it


class UsageError(UserError):
    """Wrong arguments for a command."""

    exit_code = 2
