"""From what a user types to an experiment: a name, or `path/to/file.py:task`."""

import difflib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InnerloopError
from ..options import parse_settings
from ..tasks import Task
from ..tasks.check import check_task
from ._base import Experiment


@functools.cache
def names() -> tuple[str, ...]:
    """The experiments that come with innerloop: the modules of this package that have one."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    imported = (importlib.import_module(f".{module}", __package__) for module in modules)
    found = (getattr(module, "EXPERIMENT", None) for module in imported)
    return tuple(each.name for each in found if isinstance(each, Experiment))


def find_named(name: str) -> Experiment | None:
    """The experiment of that name, of those that come with innerloop; no file is looked at.

    For names that a file gives: only what a user types may name code to run, see `find`.
    """
    if name not in names():
        return None
    return importlib.import_module(f".{name.replace('-', '_')}", __package__).EXPERIMENT


def find(spec: str) -> Experiment:
    """The experiment that `spec`, which a user types, names. A file that it names is run.

    Raises `InnerloopError` for a name that there is not (with the nearest one that there
    is), and for a file without the named task.
    """
    named = find_named(spec)
    if named is not None:
        return named
    path, _, name = spec.rpartition(":")
    if path.endswith(".py"):
        return _own(Path(path), name)
    if spec.endswith(".py"):
        raise InnerloopError(f"'{spec}' names no task in the file; write {spec}:NAME.")
    near = difflib.get_close_matches(spec, names(), n=1, cutoff=0.4)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    raise InnerloopError(
        f"There is no experiment '{spec}'.{meant} There are {', '.join(names())}, "
        "and your own task as path/to/file.py:name."
    )


def make_task(experiment: Experiment, settings: Sequence[str], data_dir: str | None) -> Task:
    """The experiment's task with `settings`, each written KEY=VALUE; checked."""
    given = parse_settings(settings, experiment.make_task, f"the task {experiment.name}")
    if data_dir is not None and "data_dir" in inspect.signature(experiment.make_task).parameters:
        given["data_dir"] = data_dir
    task = _call(experiment.make_task, given, f"The task {experiment.name}")
    check_task(task, name=f"The task {experiment.name}")
    return task


def _call(target: Callable[..., Any], settings: dict[str, Any], what: str) -> Any:
    try:
        return target(**settings)
    except InnerloopError:
        raise
    except Exception as error:  # Settings of the wrong type, or a user's own code.
        raise InnerloopError(
            f"{what} cannot be made: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error


def _own(path: Path, name: str) -> Experiment:
    """A user's own task, with the default recipe."""
    if not path.is_file():
        raise InnerloopError(f"There is no file {path}.")
    found = importlib.util.spec_from_file_location(f"innerloop_user_{path.stem}", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise InnerloopError(
            f"{path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    tasks = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Task)
        or (inspect.isclass(value) and issubclass(value, Task) and value is not Task)
    }
    if name not in tasks:
        if hasattr(module, name):
            raise InnerloopError(f"'{name}' in {path} is no innerloop.Task; {_there(tasks)}.")
        raise InnerloopError(f"{path} has no task '{name}'; {_there(tasks)}.")
    task = tasks[name]
    make = task if inspect.isclass(task) else lambda: task
    return Experiment(
        name=f"{path.stem}:{name}",
        summary=f"the task {name} of {path}",
        make_task=make,
        source=f"{path.absolute()}:{name}",
    )


def _there(tasks: dict[str, Any]) -> str:
    return f"its tasks are: {', '.join(tasks)}" if tasks else "it has no tasks at all"
