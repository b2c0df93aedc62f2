"""The command line: one command a file. JAX is imported when a command needs it."""

import atexit
import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InnerloopError
from ..runtime.hosts import leave
from ..runtime.interrupts import STATUS, exit_at_second_signal
from ..runtime.invocation import running
from ..runtime.names import fit_text
from ._dispatch import dispatch
from ._settings import sentence

COMMANDS = {
    "demo": "demo",
    "train": "train",
    "compare": "compare",
    "benchmark": "benchmark",
    "reproduce": "reproduce",
    "inspect": "inspect_",
    "export": "export",
    "list": "list_",
    "show": "show",
    "watch": "watch",
    "push": "push",
    "fewshot": "fewshot",
    "completion": "completion",
}
"""The module of each command, which has a `SUMMARY` and a `main`."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a disk says that takes no more, wherever it is written to."""


def entry() -> None:
    """The command `innerloop`: `main`, and the end of the process.

    What was registered for the end is done, and what was printed is written; the interpreter is
    not taken down. Before Python 3.14 that ends the threads of JAX's and TensorStore's pools
    wherever they next want the interpreter, and one in the midst of C++ takes the process with it:
    a run that was whole was seen to end by SIGABRT.
    """
    status = 1  # Of whatever else ends it.

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BrokenPipeError, AttributeError):  # None where it is closed.
                stream.flush()
        os._exit(status)

    atexit.register(end)  # The first to be registered is the last to be called.
    exit_at_second_signal()
    try:
        main()
        status = 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        raise


def main() -> None:
    """Run the command line; exits with 2 and one sentence where the input is at fault."""
    _prepare_streams()
    try:
        _run(sys.argv[1:])
    except InnerloopError as error:
        print(f"innerloop: {fit_text(sentence(error))}", file=sys.stderr)
        leave(2)
    except BrokenPipeError:
        # Who read what is printed has gone, `head` for one; what there is to write is written.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        leave(0)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" {error.filename}" if error.filename else ""
        print(f"innerloop: Cannot write{fit_text(where)}: {error.strerror}.", file=sys.stderr)
        leave(2)
    except KeyboardInterrupt as stopped:
        print(f"innerloop: {fit_text(stopped, lines=True) or 'stopped.'}", file=sys.stderr)
        leave(STATUS)


def _run(words: Sequence[str]) -> None:
    what = "Train optimizers, compare them with tuned ones, and learn classes from a few images."
    with running(words):
        dispatch("innerloop", what, COMMANDS, words)


def _prepare_streams() -> None:
    """Print in any encoding, and to no standard error where there is none."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="replace")
