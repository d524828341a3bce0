"""What a user's mistake is told with. The command line says such an error in one sentence, without a traceback."""


class UserError(Exception):
    """Something asked for can not be done; the message says why and what can.

    Attributes:
        exit_code: with which the command `hackmatrix` ends.
    """

    exit_code = 1


class UsageError(UserError):
    """Wrong arguments of a command."""

    exit_code = 2
