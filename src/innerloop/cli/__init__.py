"""The command line. JAX is imported when a command needs it."""

import atexit
import contextlib
import inspect
import os
import re
import sys
from pathlib import Path

import tyro

from ..errors import InnerloopError
from ..runtime.hosts import leave
from ..runtime.interrupts import STATUS, exit_at_second_signal
from . import fewshot, optimizer_training, optimizers


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
    commands = {
        "demo": optimizers.demo,
        "train": optimizer_training.train,
        "compare": optimizers.compare,
        "reproduce": optimizers.reproduce,
        "inspect": optimizers.inspect,
        "fewshot": fewshot.fewshot,
        "list": optimizers.list_,
    }
    program, words = "innerloop", sys.argv[1:]
    description = "Learn an optimizer, and see it beat tuned ones; learn from a few examples."
    if words[:1] == ["fewshot"]:
        program, words, commands = "innerloop fewshot", words[1:], fewshot.COMMANDS
        description = "Learn to learn a classifier from one or five images a class."
    for command in commands.values():
        command.__doc__ = _unbroken(command.__doc__)
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands, prog=program, description=description, args=words
        )
    except InnerloopError as error:
        print(f"innerloop: {error}", file=sys.stderr)
        leave(2)
    except BrokenPipeError:
        # Who read what is printed has gone, `head` for one; what there is to write is written.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        leave(0)
    except KeyboardInterrupt as stopped:
        print(f"innerloop: {str(stopped) or 'stopped.'}", file=sys.stderr)
        leave(STATUS)


def _unbroken(docstring: str | None) -> str | None:
    """Each argument's description in one line: tyro would keep the docstring's breaks in --help."""
    return docstring and re.sub(r"\n {8}(?=\S)", " ", inspect.cleandoc(docstring))
