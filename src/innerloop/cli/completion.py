"""`innerloop completion`: a script that completes commands and options in a shell."""

import contextlib
import dataclasses
import importlib
import io
import re
import shlex
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro

from ._settings import parse

SUMMARY = "Print a script that completes commands and options in bash or zsh."
_SCRIPT = """\
# innerloop: completes commands, options and files. For bash in ~/.bashrc, for zsh in ~/.zshrc:
#   source <(innerloop completion {shell})
{start}_innerloop() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" options=""
  [ "$command" = fewshot ] && [ "$COMP_CWORD" -gt 2 ] && command="fewshot ${{COMP_WORDS[2]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    options={commands}
  elif [ "$command" = fewshot ]; then
    options={fewshot}
  else
    case "$command" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$options" -- "$word"))
  return 0
}}
complete -o default -F _innerloop innerloop
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """Print a script that completes commands and options in bash or zsh.

    Options of tasks, rules and methods are those of the defaults.
    """

    shell: Annotated[
        tyro.conf.Positional[Literal["bash", "zsh"]], tyro.conf.arg(metavar="bash|zsh")
    ]
    """The shell."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Completion, words, command="completion")
    print(script(asked.shell), end="")


def script(shell: Literal["bash", "zsh"]) -> str:
    """The script for a shell."""
    from . import COMMANDS
    from .fewshot import COMMANDS as FEWSHOT

    modules = {name: module for name, module in COMMANDS.items() if name != "fewshot"}
    modules |= {f"fewshot {name}": f"fewshot_{name}" for name in FEWSHOT}
    cases = [
        f"      {shlex.quote(name)}) options={shlex.quote(' '.join(_options(module)))} ;;"
        for name, module in modules.items()
        if module != "completion"
    ]
    return _SCRIPT.format(
        shell=shell,
        start="autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "",
        commands=shlex.quote(" ".join(COMMANDS)),
        fewshot=shlex.quote(" ".join(FEWSHOT)),
        cases="\n".join(cases),
    )


def _options(module: str) -> list[str]:
    """The options that a command's own help names."""
    command: Any = importlib.import_module(f".{module}", __package__)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        command.main(["--help"])
    return list(dict.fromkeys(re.findall(r"--[a-z][a-z0-9.-]*[a-z0-9]", printed.getvalue())))
