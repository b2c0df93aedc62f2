"""The one exception that a user is meant to read."""


class InnerloopError(ValueError):
    """Something that was asked cannot be done, and the message says what to change.

    The message names the thing at fault, its value, and what would be accepted. The
    command line prints it as one sentence and exits with code 2; from Python it is an
    ordinary `ValueError`.
    """
