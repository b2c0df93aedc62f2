"""`innerloop fewshot`: the commands of few-shot learning, one a file."""

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from ..errors import UnknownNameError

SUMMARY = "Learn classes from a few images: train, evaluate and use meta-learners."
COMMANDS = ("demo", "train", "evaluate", "adapt", "gates", "list")
"""Each is the module fewshot_NAME, which has a `SUMMARY` and a `main`."""


def main(words: Sequence[str]) -> None:
    """Run one of the few-shot commands."""
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return
    command, *rest = words
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownNameError(
            f"There is no command 'fewshot {command}'.{meant} There are: {', '.join(COMMANDS)}."
        )
    _module(command).main(rest)


def _module(command: str) -> Any:
    return importlib.import_module(f".fewshot_{command}", __package__)


def _help() -> str:
    lines = ["usage: innerloop fewshot COMMAND ...", "", SUMMARY, ""]
    lines += [f"  {command:<10} {_module(command).SUMMARY}" for command in COMMANDS]
    return "\n".join(
        [*lines, "", "`innerloop fewshot COMMAND --help` has the options of a command."]
    )
