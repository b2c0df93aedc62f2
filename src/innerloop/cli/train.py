"""`innerloop train`: train a rule on a task, or search for the best optimizer of one's own."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import SettingsError
from ..runtime.names import fit_component
from ._common import Config, Place, TrainingPlace, prepare, say
from ._search import is_search, refuse_budget, search
from ._settings import (
    Flat,
    asks_for_help,
    is_given,
    leading,
    named,
    parse,
    settings_type,
    some_of,
)

SUMMARY = "Train an optimizer on an experiment, or on a task of your own."
_DOC = """Train an optimizer on an experiment (`innerloop list`), or on a task of your own.

For a task of your own without further options the best optimizer is searched for, learned or
not: `innerloop train FILE.py:TASK --help`. Ctrl-C saves a checkpoint and stops; the same command
with --resume goes on. The defaults are the values of the experiment: `innerloop train mnist
--help` shows those of mnist."""


def main(words: Sequence[str]) -> None:
    """Run the command; JAX is imported here."""
    from ..errors import UnknownNameError
    from ..experiments.run import train_experiment

    if not asks_for_help(words):
        # Before a user's file is imported, which may use JAX.
        place: TrainingPlace = some_of(TrainingPlace, words).flat
        prepare(place.devices, place.hosts)
    if not (asks_for_help(words) or leading(words) or is_given(words, "--config")):
        raise UnknownNameError("Name what to train on: innerloop train TARGET.")
    name, settings, suits = _found(words)
    refuse_budget(words, name)
    if not suits and is_search(words):
        search(words, name, settings.task)
        return
    if not suits:
        settings = _suited(words, settings)
    asked: Any = parse(arguments_type(settings), words, command="train")
    place = asked.place
    settings = settings_from(asked, settings, words)
    folder = place.out or Path("runs") / fit_component(name or settings.task.name)
    options = place.options(folder, "train", words)
    trained = train_experiment(settings, options, data_dir=place.data)
    if trained.skipped:
        say(f"{trained.skipped} meta-steps were skipped: their gradient was not finite.")
    since = "; since it was resumed it took" if place.resume else " and"
    say(
        f"Mean loss on validation problems: {trained.validation:.4g}, "
        f"after {trained.steps} meta-steps{since} {trained.seconds:.0f} s.\n"
        f"The best rule is in {folder}/rule.safetensors. Compare it with tuned baselines:\n"
        f"  {_next(words, folder)}"
    )


def arguments_type(settings: Any) -> type:
    """The dataclass that tyro parses, with the values of `settings` as defaults."""
    from ..experiments.find import lookup

    def part(kind: str, argument: str, choice: Any) -> Any:
        make = lookup(kind, choice.name)
        return settings_type(make, choice.settings, within=f"{argument}.")

    task = part("task family", "task", settings.task) if settings.task.name else _Nothing
    rule = part("rule", "rule", settings.rule)
    estimator = part("estimator", "estimator", settings.estimator)
    loop = settings_type(type(settings.loop), vars(settings.loop), within="")
    text = tyro.conf.arg
    spec = "NAME|FILE.py:NAME"
    fields: list[Any] = [
        (
            "target",
            Annotated[
                tyro.conf.Positional[str | None],
                text(
                    help="An experiment or task by its name, or path/to/file.py:NAME for one of "
                    "your own. It may be left out with --config.",
                    metavar="TARGET",
                ),
            ],
            dataclasses.field(default=None),
        ),
        ("rule_name", Annotated[str, text(name="rule", help="The rule to train.", metavar=spec)],
         dataclasses.field(default=settings.rule.name)),
        ("estimator_name", Annotated[
            str, text(name="estimator", help="How the meta-gradient is estimated.", metavar=spec)
        ], dataclasses.field(default=settings.estimator.name)),
        ("config", Annotated[Config, text(
            help="Settings of a run, as a run's folder has them in run.toml. Other options "
            "change them.")], dataclasses.field(default=None)),
        ("init_from", Annotated[str | None, text(
            help="The rule to begin with: a shipped rule's name, a file, or a run's folder.",
            metavar="RULE")], dataclasses.field(default=settings.init_from)),
        ("rule_parts", Annotated[tuple[str, ...], text(
            help="Top-level parts of the parameters that get a rule each.",
            metavar="NAME ...")], dataclasses.field(default=settings.rule_parts)),
        ("seed", Annotated[int, text(
            help="The same seed gives the same numbers on the same machine.", metavar="N")],
         dataclasses.field(default=settings.seed)),
        ("place", Annotated[TrainingPlace, Flat], dataclasses.field(default=TrainingPlace())),
        ("loop", Annotated[loop, Flat], dataclasses.field(default_factory=loop)),
        ("estimator", estimator, dataclasses.field(default_factory=_made(estimator))),
        ("rule", rule, dataclasses.field(default_factory=_made(rule))),
        ("task", task, dataclasses.field(default_factory=_made(task))),
    ]  # fmt: skip
    return dataclasses.make_dataclass(
        "Train", fields, frozen=True, kw_only=True, namespace={"__doc__": _DOC}
    )


def settings_from(asked: Any, settings: Any, words: Sequence[str]) -> Any:
    """The run's settings: `settings`, with what was asked in place of its values."""

    new_rule = is_given(words, "--rule")
    init_from = asked.init_from
    if new_rule and init_from is not None:
        if is_given(words, "--init-from"):
            accepted = "left out where --rule or its settings are given: they are of a new rule"
            raise SettingsError("init_from", init_from, accepted)
        init_from = None
    return dataclasses.replace(
        settings,
        task=chosen("task family", settings.task.name, asked.task),
        rule=chosen("rule", settings.rule.name, asked.rule),
        rule_parts=asked.rule_parts,
        estimator=chosen("estimator", settings.estimator.name, asked.estimator),
        loop=type(settings.loop)(**vars(asked.loop)),
        seed=asked.seed,
        init_from=init_from,
    )


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """Settings of a task that is not named."""


def _found(words: Sequence[str]) -> tuple[str, Any, bool]:
    """(name, settings, whether they suit the task) by the words that name things."""
    from ..experiments import Choice, RunSettings
    from ..experiments.find import find_run, name_for
    from ..runtime.settings import from_toml

    options = named(words, "--rule", "--estimator", "--config")
    targets = leading(words)
    if targets:
        name, settings, suits = find_run(targets[0])
    else:
        name, settings, suits = "", RunSettings(task=Choice("")), True
    if options["--config"]:
        read = from_toml(RunSettings, options["--config"])
        if targets and read.task.name != settings.task.name:
            read = dataclasses.replace(read, task=settings.task)
        settings, suits = read, True
    if options["--rule"] and (rule := name_for("rule", options["--rule"])) != settings.rule.name:
        settings = dataclasses.replace(settings, rule=Choice(rule))
    if options["--estimator"]:
        estimator = name_for("estimator", options["--estimator"])
        settings = dataclasses.replace(settings, estimator=_as(estimator, settings.estimator))
    return name, settings, suits


def _as(name: str, choice: Any) -> Any:
    """Another estimator, with those settings of the former that both have."""
    from ..experiments import Choice
    from ..experiments.find import lookup
    from ..runtime.settings import parameters

    if name == choice.name:
        return choice
    known = parameters(lookup("estimator", name))
    return Choice(name, {each: value for each, value in choice.settings.items() if each in known})


def _suited(words: Sequence[str], settings: Any) -> Any:
    """`settings` for a task that has no recipe: by the size of its problems."""
    from ..experiments.find import lookup
    from ..experiments.make import make_task
    from ..experiments.recipe import suit

    if asks_for_help(words):
        return settings
    make = lookup("task family", settings.task.name)
    task = settings_type(make, settings.task.settings, within="task.")
    asked = some_of(Place, words, task=task)
    made = make_task(chosen("task family", settings.task.name, asked.task), asked.flat.data)
    suited = suit(settings, made)
    if settings.estimator.name != suited.estimator.name:
        suited = dataclasses.replace(
            suited, estimator=_as(settings.estimator.name, suited.estimator)
        )
    return suited


def chosen(kind: str, name: str, asked: Any) -> Any:
    """What is chosen by name, with the settings that were parsed for it.

    A None that is the class's default is left out, as a file of settings leaves it out.
    """
    from ..experiments import Choice
    from ..experiments.find import lookup
    from ..runtime.settings import parameters

    defaults = {each.name: each.default for each in parameters(lookup(kind, name)).values()}
    values = {field.name: getattr(asked, field.name) for field in dataclasses.fields(asked)}
    return Choice(
        name,
        {
            each: value
            for each, value in values.items()
            if value is not None or defaults[each] is not None
        },
    )


def _made(cls: Any) -> Any:
    """A default for a nested dataclass, unless some of its fields have none."""
    required = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return cls if not required else (lambda: tyro.MISSING)


def _next(words: Sequence[str], folder: Path) -> str:
    """The command that compares what was trained."""
    from ..experiments.find import is_file
    from ._words import options_under

    targets = leading(words)
    if not targets:
        return f"innerloop compare {shlex.quote(str(folder))}"
    again = ["innerloop", "compare", str(folder), "--task", targets[0]]
    rule = named(words, "--rule")["--rule"]
    if rule is not None and is_file(rule):
        again += ["--rule-file", rule]
    return shlex.join([*again, *options_under(words, "--task.")])
