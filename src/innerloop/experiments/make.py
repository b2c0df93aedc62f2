"""The objects of a run, made from its settings."""

import inspect
from typing import Any

import jax

from ..errors import InnerloopError, SettingsError
from ..metatrain import MetaGradient
from ..rules import MultiRule, Rule
from ..rules.files import load
from ..runtime.settings import read_arguments
from ..tasks import TaskFamily
from ..tasks.check import check_task
from .find import lookup
from .settings import Choice, RunSettings


def make_task(choice: Choice, data_dir: str | None = None) -> TaskFamily:
    """The task family of a run, checked.

    Args:
        choice: Its name and settings.
        data_dir: The folder that holds the data, for a task that has any.

    Raises:
        InnerloopError: The task cannot be made, or is no valid task.
    """
    task = make("task family", "task", choice, data_dir=data_dir)
    check_task(task, name=f"The task {choice.name}")
    return task


def make_rule(settings: RunSettings) -> Rule:
    """The rule that a run begins with: a trained one, or one with random weights.

    A trained one is put into the run's own rule where that stands around another, as its class
    method `around(rule)` says.

    Raises:
        InnerloopError: The rule cannot be made, or the trained one cannot be read.
    """
    if settings.init_from is not None:
        rule = load(settings.init_from)
        outer = lookup("rule", settings.rule.name)
        if hasattr(outer, "around"):
            rule = outer.around(rule)
        if not settings.rule_parts or isinstance(rule, MultiRule):
            return rule
        return MultiRule(dict.fromkeys(settings.rule_parts, rule))
    key = jax.random.key(settings.seed)
    if not settings.rule_parts:
        return make("rule", "rule", settings.rule, key=key)
    keys = jax.random.split(key, len(settings.rule_parts))
    parts = zip(settings.rule_parts, keys, strict=True)
    return MultiRule({part: make("rule", "rule", settings.rule, key=key) for part, key in parts})


def make_estimator(settings: RunSettings) -> MetaGradient:
    """The estimator of a run's meta-gradients.

    Raises:
        InnerloopError: It cannot be made.
    """
    return make("estimator", "estimator", settings.estimator)


def make(kind: str, argument: str, choice: Choice, **extra: Any) -> Any:
    """What `choice` names, made with its settings and with those of `extra` that it takes.

    Args:
        kind: The registry's kind.
        argument: What messages call it.
        choice: Its name and settings.
        extra: Arguments that are no settings.

    Raises:
        InnerloopError: It cannot be made.
    """
    found = lookup(kind, choice.name)
    if not inspect.isclass(found):  # A user's own object, made already.
        if choice.settings:
            name = next(iter(choice.settings))
            accepted = f"left out: {choice.name} is an object, and only a class takes settings"
            raise SettingsError(f"{argument}.{name}", choice.settings[name], accepted)
        return found
    given = read_arguments(found, choice.settings, within=f"{argument}.")
    taken = inspect.signature(found).parameters
    given |= {name: value for name, value in extra.items() if name in taken and value is not None}
    try:
        return found(**given)
    except InnerloopError as error:
        error.arguments = tuple(f"{argument}.{name}" for name in error.arguments)
        raise
    except Exception as error:  # A user's own code.
        first = str(error).partition("\n")[0]
        raise InnerloopError(
            f"The {argument} {choice.name} cannot be made: {type(error).__name__}: {first}"
        ) from error
