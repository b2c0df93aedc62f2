"""`innerloop train FILE.py:TASK` without the options of a candidate: the search."""

import dataclasses
import difflib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import UnknownNameError
from ..runtime.names import fit_component
from ._common import Place, report, say
from ._settings import Flat, is_given, leading, parse, settings_type

_DOC = """Find the best optimizer for a task of your own, learned or not, within some minutes.

Baselines of today are tuned, and learned optimizers trained, as far as the minutes go. The best
of all meets test problems that none has seen, and is written to rule.safetensors, with
results.json, report.md and report.html. Ctrl-C ends the training with the best so far; --resume
goes on.

With --rule, --estimator, --init-from, --config or a setting of theirs, exactly that rule is
trained: `innerloop train FILE.py:TASK --rule lstm --help` has those options."""
_OWN = ("--minutes", "--horizon", "--problems", "--candidates")
_SHARED = ("--seed", "--out", "--resume", "--data-dir", "--devices", "--task", "--help", "-h")


def is_search(words: Sequence[str]) -> bool:
    """Whether a command line asks for a search.

    Args:
        words: The command line after `train`.
    """
    from ..experiments.find import is_file

    targets = leading(words)
    if not targets or not is_file(targets[0]):
        return False
    options = [word for word in words if word.startswith("-") and not _is_number(word)]
    return all(any(is_given([word], each) for each in (*_OWN, *_SHARED)) for word in options)


def refuse_budget(words: Sequence[str], name: str) -> None:
    """Raises `UnknownNameError` for a search's option where no search is asked for, or a typo.

    Args:
        words: The command line after `train`.
        name: What is trained on.
    """
    own = ("--minutes", "--candidates")
    if is_search(words):
        return
    for word in words:
        option = word.partition("=")[0]
        if option in own:
            raise UnknownNameError(
                f"{option} is for a search, `innerloop train FILE.py:TASK` without a rule or "
                f"settings of its training; {name or 'this'} is trained for --steps meta-steps."
            )
        near = difflib.get_close_matches(option, own, n=1, cutoff=0.8)
        if near and option.startswith("--"):
            raise UnknownNameError(f"There is no option {option}. Did you mean {near[0]}?")


def search(words: Sequence[str], name: str, choice: Any) -> None:
    """Run the command.

    Args:
        words: The command line after `train`.
        name: What the task is called.
        choice: The task.
    """
    from ..experiments.find import lookup
    from ..experiments.make import make_task
    from ..report import About, search_page, write_page
    from ..runtime.compilation import compile_quickly
    from ..runtime.invocation import command
    from ..runtime.names import fit_text
    from ..search import SearchSettings, find_optimizer
    from ..search.report import enough_minutes, report_of, results_of, sentence
    from .train import chosen

    # Most of a short search is compilation.
    compile_quickly()
    budget = settings_type(SearchSettings, {}, within="")
    make = lookup("task family", choice.name)
    asked: Any = parse(
        _arguments_type(budget, settings_type(make, choice.settings, within="task.")),
        words,
        command="train",
    )
    place = asked.place
    task = make_task(chosen("task family", choice.name, asked.task), place.data)
    folder = place.out or Path("runs") / fit_component(name)

    def show(result: Any) -> None:
        _, _, table = report_of(result).partition("## Test problems")
        say(f"{fit_text(table, lines=True).strip()}\n\n{sentence(result)}")
        if result.untrained and not result.stopped:
            say(f"The options for that: --minutes {enough_minutes(result):g} --resume")
        about = About(title=f"The best optimizer for {name}", command=command())
        write_page(search_page(results_of(result), about=about), folder)
        say(_where(folder))

    find_optimizer(
        task,
        SearchSettings(**vars(asked.budget)),
        out=folder,
        resume=asked.resume,
        description={"name": name, "command": shlex.join(["innerloop", "train", *words])},
        report=report,
        show=show,
    )


def _where(folder: Path) -> str:
    """Where everything is, and how the rule is called."""
    return (
        f"It is in {folder}/rule.safetensors. To use it:\n"
        f"  optimizer = innerloop.load({str(folder)!r}).as_optax()\n"
        "  updates, state = optimizer.update(grads, state, params, value=loss)\n"
        "Or as a file for your own program:\n"
        f"  {shlex.join(['innerloop', 'export', str(folder), '--as', 'optax'])}\n"
        "Everything that was tried:\n"
        f"  {shlex.join(['innerloop', 'show', str(folder)])}"
    )


def _arguments_type(budget: type, task: type) -> type:
    arg = tyro.conf.arg
    fields: list[Any] = [
        ("target", Annotated[tyro.conf.Positional[str], arg(
            help="path/to/file.py:NAME of a task family of your own.", metavar="FILE.py:NAME")]),
        ("resume", Annotated[bool, arg(
            help="Go on with the search in the folder. What it has spent counts.")],
         dataclasses.field(default=False)),
        ("place", Annotated[Place, Flat], dataclasses.field(default=Place())),
        ("budget", Annotated[budget, Flat], dataclasses.field(default_factory=budget)),
        ("task", task, dataclasses.field(default_factory=task)),
    ]  # fmt: skip
    return dataclasses.make_dataclass(
        "Search", fields, frozen=True, kw_only=True, namespace={"__doc__": _DOC}
    )


def _is_number(word: str) -> bool:
    return word[1:].replace(".", "", 1).isdigit()
