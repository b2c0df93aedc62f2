"""From what a user types to classes and settings: registered names, and path/to/file.py:NAME."""

import difflib
import inspect
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import FileError, UnknownNameError
from ..runtime.names import fit_text
from ..userfiles import load_file_object
from ._base import Experiment
from .settings import Choice, RunSettings

_NAMED: dict[tuple[str, str], Any] = {}
"""Objects of files that the user named in this process, by kind and file.py:NAME."""


def is_file(spec: str) -> bool:
    """Whether `spec` names an object of a file rather than a registered one."""
    return spec.endswith(".py") or spec.rpartition(":")[0].endswith(".py")


def name_for(kind: str, spec: str) -> str:
    """The name by which settings refer to what the user calls `spec`.

    A file is imported now. Its object is known by file.py:NAME until the process ends, so that
    settings and files hold no paths, and no file that they come from can have code imported.

    Args:
        kind: "task family", "rule" or "estimator".
        spec: A registered name, or path/to/file.py:NAME.

    Returns:
        `spec`, or file.py:NAME.

    Raises:
        UnknownNameError: No class of the kind is registered by the name.
        FileError: The file is not there, cannot be imported, or has no such object.
    """
    if is_file(spec):
        return _put(kind, spec, load_file_object(spec, kind))
    lookup(kind, spec)
    return spec


def lookup(kind: str, name: str) -> Any:
    """The class (or the user's object) of that name.

    Raises:
        UnknownNameError: There is none; the message has the nearest name.
        FileError: It is of a file that the user has not named in this process.
    """
    if is_file(name):
        if (kind, name) in _NAMED:
            return _NAMED[kind, name]
        short = fit_text(name.rpartition("/")[2], 60)
        raise FileError(
            f"The {kind} {short} is of a file of the user's own, and no file that is read causes "
            f"another to be imported: name it yourself, as path/to/{short}.",
            arguments=({"task family": "task", "dataset": "data"}.get(kind, kind),),
        )
    return registry.find(kind, name)


def find_run(spec: str) -> tuple[str, RunSettings, bool]:
    """The run that `spec` names: an experiment's, or one with the default settings for a task.

    Args:
        spec: The name of an experiment or a task family, or path/to/file.py:NAME of either.

    Returns:
        The short name, the settings, and whether they suit the task: those of an experiment do.

    Raises:
        UnknownNameError: There is nothing of that name; the message has the nearest one.
        FileError: The file is not there, cannot be imported, or has no such object.
    """
    if is_file(spec):
        found = load_file_object(spec, "task family", "experiment")
        if inspect.isclass(found) and issubclass(found, Experiment):
            return _short(spec), found.settings, True
        return _short(spec), RunSettings(task=Choice(_put("task family", spec, found))), False
    experiments, tasks = registry.members("experiment"), registry.members("task family")
    if spec in experiments:
        return spec, experiments[spec].settings, True
    if spec in tasks:
        return spec, RunSettings(task=Choice(spec)), False
    near = difflib.get_close_matches(spec, {**experiments, **tasks}, n=1, cutoff=0.4)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownNameError(
        f"There is no experiment or task '{spec}'.{meant} There are "
        f"{', '.join(sorted({*experiments, *tasks}))}, and your own as path/to/file.py:NAME."
    )


def summary_of(thing: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")


def _put(kind: str, spec: str, thing: Any) -> str:
    registered = registry.name_of(thing) if inspect.isclass(thing) else None
    if registered is not None:
        return registered
    path, _, name = spec.rpartition(":")
    short = f"{Path(path).name}:{name}"
    _NAMED[kind, short] = thing
    return short


def _short(spec: str) -> str:
    path, _, name = spec.rpartition(":")
    return f"{Path(path).stem}-{name}"
