"""`innerloop inspect`: a picture of what a rule does."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from ..errors import UnknownNameError
from ._common import Place, fresh_folder, prepare, say
from ._labels import labels
from ._settings import Flat, asks_for_help, leading, named, parse, settings_type

SUMMARY = "Draw what a rule does: its steps beside SGD's and Adam's on the same gradients."
_DOC = """Draw what a rule does: its steps beside SGD's and Adam's on the same gradients.

Writes inspect.png: gradients and proposed steps of a few coordinates of one fresh problem,
and the size of the steps over time."""


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    if not asks_for_help(words):
        prepare(1)
    choice = _task(words)
    asked: Any = parse(_arguments_type(choice), words, command="inspect")
    if choice is None:
        raise UnknownNameError(
            f"{asked.rule} does not say what it was trained on; name a task.", arguments=("task",)
        )
    from ..experiments.find import name_for
    from ..experiments.make import make_task
    from ..inspection.steps import inspect
    from ..plots.steps import draw_steps
    from ..rules.files import load
    from ..runtime.folders import writable
    from .train import chosen

    task = chosen("task family", choice.name, asked.task)
    made = make_task(task, asked.place.data)
    (label,) = labels([asked.rule])
    folder = writable(asked.place.out or fresh_folder(f"inspect-{label}"))
    if asked.rule_file is not None:
        name_for("rule", asked.rule_file)
    inspection = inspect(load(asked.rule), made, steps=asked.steps, seed=asked.seed)
    title = title_of(_without_defaults(task))
    say(
        f"On one problem of {title} the loss went from {inspection.losses[0]:.4g} to "
        f"{inspection.losses[-1]:.4g} before the last of {asked.steps} steps."
    )
    path = draw_steps(
        inspection.gradients,
        inspection.steps,
        inspection.losses,
        folder / "inspect.png",
        title=f"{label} on {title}",
        notes=inspection.notes,
    )
    say(f"Written to {path}")


def _without_defaults(choice: Any) -> Any:
    """`choice` with those settings alone that are not the class's own."""
    from ..experiments.find import lookup
    from ..runtime.settings import parameters

    defaults = {
        each.name: each.default for each in parameters(lookup("task family", choice.name)).values()
    }
    changed = {name: value for name, value in choice.settings.items() if value != defaults[name]}
    return dataclasses.replace(choice, settings=changed)


def title_of(choice: Any) -> str:
    return " ".join([choice.name, *(f"{name}={value}" for name, value in choice.settings.items())])


def _arguments_type(choice: Any) -> type:
    from ..experiments.find import lookup

    arg = tyro.conf.arg
    trained_on = "(default: what the rule was trained on)"
    fields: list[Any] = [
        ("rule", Annotated[tyro.conf.Positional[str], arg(
            help="A shipped rule's name (`innerloop list`), a file, or a training run's folder.",
            metavar="RULE")]),
        ("rule_file", Annotated[str | None, arg(
            help="The class of a rule of your own, which RULE holds the weights of.",
            metavar="FILE.py:NAME", help_behavior_hint="(default: none)")],
            dataclasses.field(default=None)),
        ("task_name", Annotated[str | None, arg(
            name="task", help="An experiment or task by its name, or path/to/file.py:NAME.",
            metavar="NAME|FILE.py:NAME", help_behavior_hint=trained_on)],
            dataclasses.field(default=None)),
        ("steps", Annotated[int, arg(help="Steps to run.", metavar="N")],
            dataclasses.field(default=100)),
        ("seed", Annotated[int, arg(help="Another seed, another problem.", metavar="N")],
            dataclasses.field(default=0)),
        ("place", Annotated[Place, Flat], dataclasses.field(default=Place())),
    ]  # fmt: skip
    if choice is not None:
        make = lookup("task family", choice.name)
        task = settings_type(make, choice.settings, within="task.")
        fields.append(("task", task, dataclasses.field(default_factory=task)))
    return dataclasses.make_dataclass(
        "Inspect", fields, frozen=True, kw_only=True, namespace={"__doc__": _DOC}
    )


def _task(words: Sequence[str]) -> Any:
    """The task that is named, or else the one that the rule's file says it was trained on."""
    from ..experiments.find import find_run, is_file
    from ..experiments.settings import trained_on
    from ..rules.files import describe

    named_task = named(words, "--task")["--task"]
    if named_task:
        return find_run(named_task)[1].task
    rule = leading(words)[:1]
    if not rule or asks_for_help(words):
        return None
    settings = trained_on(describe(rule[0]).get("run", {}))
    if settings is None:
        return None
    if is_file(settings.task.name):
        raise UnknownNameError(
            f"{rule[0]} was trained on {settings.task.name}, which does not come with innerloop; "
            "name one by --task.",
        )
    return settings.task
