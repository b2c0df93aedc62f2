"""`innerloop compare`: rules against tuned baselines."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from ..errors import UnknownNameError
from ._common import AsJson, Config, Place, fresh_folder, prepare, report, say, say_json
from ._labels import labels
from ._settings import Flat, asks_for_help, named, parse, settings_type, some_of

SUMMARY = "Compare rules with today's optimizers, each tuned, in steps and in seconds."
_DOC = """Compare rules with today's optimizers, each tuned, in steps and in seconds.

--baselines takes groups and names. classic: sgd, nesterov, rmsprop, adam and adamw, of which the
learning rate is tuned. modern: these, muon, schedule-free-adamw, and nesterov-cosine,
adamw-cosine, muon-cosine and lion-cosine, which warm up and fall to 0 at the horizon; a second
setting is tuned too. untuned: adam-1e-3, prodigy and dog, which need no tuning. L-BFGS has a row
where the loss has no noise.

Prints a table and both verdicts, and writes results.json, curves.png and report.html. The
defaults are the values of the experiment that --task names: `innerloop compare --task mnist
--help` shows those of mnist."""


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    if not asks_for_help(words):
        prepare(some_of(Place, words).flat.devices)
    name, settings = _found(words)
    asked: Any = parse(_arguments_type(settings), words, command="compare")
    if not asked.rules:
        raise UnknownNameError("Name a rule to compare: innerloop compare RULE --task TASK.")
    if not settings.task.name:
        raise UnknownNameError("Name the task to compare on.", arguments=("task",))
    from ..comparison.called import called
    from ..experiments.find import name_for
    from ..experiments.run import compare_experiment
    from ..rules.files import describe, load
    from ._shown import show_comparison
    from .train import chosen

    former = settings.comparison
    settings = dataclasses.replace(
        settings,
        task=chosen("task family", settings.task.name, asked.task),
        comparison=type(former)(
            **vars(asked.comparison), grid=type(former.grid)(**vars(asked.grid))
        ),
        seed=asked.seed,
    )
    if asked.rule_file is not None:
        name_for("rule", asked.rule_file)
    names = labels(asked.rules)
    folder = asked.place.out or fresh_folder(f"compare-{names[0]}-{name}")
    rules = {label: load(rule) for label, rule in zip(names, asked.rules, strict=True)}
    comparison = compare_experiment(
        settings,
        rules,
        name=name,
        out=folder,
        data_dir=asked.place.data,
        report=report,
        show=(lambda comparison: None) if asked.as_json else show_comparison,
        name_of_first=called(rules[names[0]], describe(asked.rules[0]).get("run")),
    )
    if asked.as_json:
        say_json(comparison.results())
        return
    say(f"Written to {folder}: results.json, curves.png, report.html")


def _arguments_type(settings: Any) -> type:
    from ..experiments.find import lookup

    sizes = {name: value for name, value in vars(settings.comparison).items() if name != "grid"}
    comparison = settings_type(type(settings.comparison), sizes, within="")
    rates = settings.comparison.grid
    grid = settings_type(type(rates), vars(rates), within="grid.")
    arg = tyro.conf.arg
    fields: list[Any] = [
        ("rules", Annotated[tyro.conf.Positional[tuple[str, ...]], arg(
            help="Shipped rules' names (`innerloop list`), files, or training runs' folders. "
            "The first is judged; the others are shown beside it.", metavar="RULE ...")]),
        ("rule_file", Annotated[str | None, arg(
            help="The class of a rule of your own, which RULE holds the weights of.",
            metavar="FILE.py:NAME", help_behavior_hint="(default: none)")],
            dataclasses.field(default=None)),
        ("task_name", Annotated[str | None, arg(
            name="task", help="An experiment or task by its name, or path/to/file.py:NAME.",
            metavar="NAME|FILE.py:NAME")],
            dataclasses.field(default=settings.task.name or None)),
        ("config", Annotated[Config, arg(
            help="Settings of a run, as a run's folder has them in run.toml. Other options "
            "change them.")], dataclasses.field(default=None)),
        ("seed", Annotated[int, arg(help="Another seed, other problems.", metavar="N")],
            dataclasses.field(default=settings.seed)),
        ("as_json", AsJson, dataclasses.field(default=False)),
        ("place", Annotated[Place, Flat], dataclasses.field(default=Place())),
        ("comparison", Annotated[comparison, Flat],
            dataclasses.field(default_factory=comparison)),
        ("grid", grid, dataclasses.field(default_factory=grid)),
    ]  # fmt: skip
    if settings.task.name:
        make = lookup("task family", settings.task.name)
        task = settings_type(make, settings.task.settings, within="task.")
        fields.append(("task", task, dataclasses.field(default_factory=task)))
    return dataclasses.make_dataclass(
        "Compare", fields, frozen=True, kw_only=True, namespace={"__doc__": _DOC}
    )


def _found(words: Sequence[str]) -> tuple[str, Any]:
    """(the task's name, settings) by the words that name things."""
    from ..experiments import Choice, RunSettings
    from ..experiments.find import find_run
    from ..runtime.settings import from_toml

    options = named(words, "--task", "--config")
    name, settings = "", RunSettings(task=Choice(""))
    if options["--task"]:
        name, settings, _ = find_run(options["--task"])
    if options["--config"]:
        read = from_toml(RunSettings, options["--config"])
        if name and read.task.name != settings.task.name:
            read = dataclasses.replace(read, task=settings.task)
        name, settings = name or read.task.name, read
    return name, settings
