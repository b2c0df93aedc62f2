"""What a saved rule's header says of its run, in today's words or in those of the first format."""

from collections.abc import Mapping
from typing import Any

from .. import registry
from ..errors import InnerloopError
from ..metatrain import TrainingSettings
from ..runtime.settings import from_dict, parameters
from .settings import Choice, RunSettings

_WORDS = {"problems": "meta_batch_size", "window": "truncation", "shortest": "min_horizon"}
_METHODS = {"backprop": "truncated-backprop", "evolution": "evolution-strategies"}


def trained_on(run: Any) -> RunSettings | None:
    """The settings of the run that a header describes, or None where it describes none.

    Nothing is imported, whatever the header says: a task of a user's own file is a name.
    """
    try:
        if "task" in run:
            names = {name: run[name] for name in _known() if name in run}
            return from_dict(RunSettings, names)
        return _of_first_format(run) if "experiment" in run else None
    except (InnerloopError, TypeError, ValueError, KeyError, AttributeError):
        return None


def _known() -> list[str]:
    return list(RunSettings.__dataclass_fields__)


def _of_first_format(run: Mapping[str, Any]) -> RunSettings:
    """Those of an experiment, with what the header says in place of its values."""
    experiment = registry.find("experiment", run["experiment"]).settings
    training = dict(run["training"])
    estimator = _METHODS[training.pop("method", "backprop")]
    renamed = {_WORDS.get(name, name): value for name, value in training.items()}
    known = parameters(registry.find("estimator", estimator))
    loop = TrainingSettings.__dataclass_fields__
    task = dict(setting.split("=", 1) for setting in run.get("task_settings", ()))
    begin, rule = run.get("begin"), run.get("rule_settings", {})
    return RunSettings(
        task=Choice(experiment.task.name, {**experiment.task.settings, **_read(task)}),
        rule=Choice(experiment.rule.name, {**experiment.rule.settings, **rule}),
        rule_parts=experiment.rule_parts,
        estimator=Choice(
            estimator, {name: each for name, each in renamed.items() if name in known}
        ),
        loop=TrainingSettings(**{name: each for name, each in renamed.items() if name in loop}),
        comparison=experiment.comparison,
        seed=run["seed"],
        init_from=begin or (None if rule else experiment.init_from),
    )


def _read(settings: Mapping[str, str]) -> dict[str, Any]:
    """Values as they were written: KEY=VALUE with Python's literals, or words."""
    import ast

    read: dict[str, Any] = {}
    for name, text in settings.items():
        try:
            read[name.replace("-", "_")] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            read[name.replace("-", "_")] = text
    return read
