"""The command line that a process runs, for reports: none where a program calls the library."""

import contextlib
import contextvars
import shlex
from collections.abc import Generator, Sequence

_current: contextvars.ContextVar[str] = contextvars.ContextVar("command", default="")


@contextlib.contextmanager
def running(words: Sequence[str]) -> Generator[None]:
    """While entered, `command` is the command `innerloop` with these words."""
    token = _current.set(shlex.join(["innerloop", *(each for each in words if each != "--resume")]))
    try:
        yield
    finally:
        _current.reset(token)


def command() -> str:
    """The command line that is being run; empty in a program of the user's own."""
    return _current.get()
