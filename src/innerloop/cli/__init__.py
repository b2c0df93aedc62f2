"""The command line. JAX is imported when a command needs it."""

import inspect
import os
import re
import sys
from pathlib import Path

import tyro

from ..errors import InnerloopError
from ..hosts import leave
from . import fewshot, optimizer_training, optimizers


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
        from ..metatrain.interrupt import CODE, Interrupted

        print(f"innerloop: {error}", file=sys.stderr)
        leave(CODE if isinstance(error, Interrupted) else 2)
    except BrokenPipeError:
        # Who read what is printed has gone, `head` for one; what there is to write is written.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        leave(0)
    except KeyboardInterrupt:
        print("innerloop: stopped.", file=sys.stderr)
        leave(130)


def _unbroken(docstring: str | None) -> str | None:
    """Each argument's description in one line: tyro would keep the docstring's breaks in --help."""
    return docstring and re.sub(r"\n {8}(?=\S)", " ", inspect.cleandoc(docstring))
