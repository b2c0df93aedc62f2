"""The exceptions that a user is meant to read."""

from typing import Any


class InnerloopError(ValueError):
    """Something that was asked cannot be done, and the message says what to change.

    The message names the thing at fault, its value, and what would be accepted. The
    command line prints it as one sentence and exits with code 2; from Python it is an
    ordinary `ValueError`.

    Args:
        message: The sentence.
        arguments: The arguments of the library that the sentence is about. The command line
            adds its options for them.
    """

    def __init__(self, message: str, *, arguments: tuple[str, ...] = ()):
        super().__init__(message)
        self.arguments = arguments


class SettingsError(InnerloopError):
    """A setting has a value of the wrong type or out of its range.

    Args:
        argument: The setting's name.
        value: What it was given.
        accepted: What it may be, in words: "a whole number of at least 1".
    """

    def __init__(self, argument: str, value: Any, accepted: str):
        super().__init__(f"{argument} is {value!r}; it must be {accepted}.", arguments=(argument,))
        self.argument, self.value, self.accepted = argument, value, accepted

    def __reduce__(self):
        return type(self), (self.argument, self.value, self.accepted)


class UnknownNameError(InnerloopError):
    """A name that is not registered, or a setting that there is not."""


class FileError(InnerloopError):
    """A file or folder cannot be read or written, or holds something else than it should."""


class RunError(InnerloopError):
    """A training run cannot begin, or cannot go on."""
