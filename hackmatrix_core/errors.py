"""Errors for a user's mistakes. The command line prints such an error as one sentence, without a traceback."""


class UserError(Exception):
    """What was asked for cannot be done; the message says why and what to do. `exit_code` is that of the command."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # all that a notebook shows of it


class CheckpointError(UserError):
    """A checkpoint cannot be written, or cannot be used as asked; the message says what to do."""


class NetworkError(UserError, ValueError):
    """A network of the user's own cannot be found or trained; the message says why."""


class UsageError(UserError):
    """Wrong arguments for a command."""

    exit_code = 2


def shown(value: object) -> str:
    """A value in a message: as Python writes it, cut where that is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than 4,300 digits
        text = "an integer of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
