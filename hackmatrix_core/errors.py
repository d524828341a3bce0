"""Errors for a user's mistakes. The command line prints such an error as one sentence, without a traceback."""


class UserError(Exception):
    """What was asked for cannot be done; the message says why and what to do. `exit_code` is that of the command."""

    exit_code = 1


class CheckpointError(UserError):
    """A checkpoint cannot be written, or cannot be used as asked; the message says what to do."""


class UsageError(UserError):
    """Wrong arguments for a command."""

    exit_code = 2
