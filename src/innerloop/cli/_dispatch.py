"""Commands by their names, of `innerloop` and of `innerloop fewshot`."""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UnknownNameError


def dispatch(program: str, what: str, commands: Mapping[str, str], words: Sequence[str]) -> None:
    """Run the command that the first word names, or show what commands there are.

    Args:
        program: The words before the command's name.
        what: What the program does, for its help.
        commands: The module of each command in this package, which has a `SUMMARY` and a `main`.
        words: The command's name, and its own words.

    Raises:
        UnknownNameError: No command has that name.
    """
    if not words or words[0] in ("-h", "--help"):
        print(_help(program, what, commands))
        return
    command, *rest = words
    if command not in commands:
        near = difflib.get_close_matches(command, commands, n=1, cutoff=0.4)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        name = f"{program} {command}".removeprefix("innerloop ")
        raise UnknownNameError(
            f"There is no command '{name}'.{meant} There are: {', '.join(commands)}."
        )
    _module(commands[command]).main(rest)


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __package__)


def _help(program: str, what: str, commands: Mapping[str, str]) -> str:
    lines = [f"usage: {program} COMMAND ...", "", what, ""]
    lines += [f"  {command:<10} {_module(name).SUMMARY}" for command, name in commands.items()]
    return "\n".join([*lines, "", f"`{program} COMMAND --help` has the options of a command."])
