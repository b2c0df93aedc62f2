"""Names for classes: what a command line, a settings file or a saved file may refer to.

A class joins with `@innerloop.register("name")` in its own file. Files hold names, never places
of code: a name is looked up among the classes that this process has imported.
"""

import difflib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import InnerloopError

_HOMES = {
    "task family": ("tasks",),
    "rule": ("rules", "comparison"),
    "estimator": ("metatrain.estimators",),
    "backbone": ("fewshot.backbones",),
    "method": ("fewshot.methods",),
    "dataset": ("datasets",),
    "experiment": ("experiments.optimizers", "experiments.fewshot"),
    "candidate": ("search.candidates",),
}
"""For each kind, the packages of innerloop whose modules register members of it."""
_CLASSES: dict[str, dict[str, type]] = {kind: {} for kind in _HOMES}

Class = TypeVar("Class", bound=type)


def register(name: str) -> Callable[[Class], Class]:
    """A class decorator that makes a class known by `name`.

    The kind of thing follows from the base class: `TaskFamily`, `Rule`, `MetaGradient`, `Backbone`,
    `MetaLearner`, `Dataset`, `Experiment` or `Candidate`.

    Args:
        name: The name, in lower case with hyphens. Each kind has its own names.

    Returns:
        A decorator that returns the class as it is.

    Raises:
        InnerloopError: The class has none of these bases, or the name belongs to another class.

    Example:
        >>> import innerloop
        >>> @innerloop.register("bowl")
        ... class Bowl(innerloop.Quadratic):
        ...     pass
    """

    def put(cls: Class) -> Class:
        kind = _kind(cls)
        if kind is None:
            bases = (
                "TaskFamily, Rule, MetaGradient, Backbone, MetaLearner, Dataset, Experiment or "
                "Candidate"
            )
            raise InnerloopError(f"{cls!r} cannot be registered; it must subclass {bases}.")
        known = _CLASSES[kind].get(name)
        # A file that is run again, as in a notebook, replaces the class that it made before.
        if known is not None and not _same_place(known, cls):
            raise InnerloopError(
                f"There is a {kind} '{name}' already, {_place(known)}; {_place(cls)} needs "
                "another name."
            )
        _CLASSES[kind][name] = cls
        return cls

    return put


def find(kind: str, name: str) -> Any:
    """The class of that kind and name.

    Raises:
        InnerloopError: No such class is registered; the message has the nearest name.
    """
    known = members(kind)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    raise InnerloopError(
        f"There is no {kind} '{name}'.{meant} There are: {', '.join(sorted(known))}."
    )


def members(kind: str) -> dict[str, Any]:
    """All registered classes of a kind by name, innerloop's own imported first."""
    for home in _HOMES[kind]:
        package = importlib.import_module(f".{home}", __package__)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f".{module.name}", package.__name__)
    return dict(_CLASSES[kind])


def name_of(cls: type) -> str | None:
    """The name that exactly this class is registered by, or None."""
    kind = _kind(cls)
    if kind is None:
        return None
    return next((name for name, each in members(kind).items() if each is cls), None)


def _kind(cls: type) -> str | None:
    """What kind of thing a class is by its base, None where it is none of them."""
    kind = getattr(cls, "registry_kind", None)
    return kind if inspect.isclass(cls) and kind in _CLASSES else None


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _same_place(one: type, other: type) -> bool:
    """Whether it is one class of one module, or of one file that has two modules' names."""
    if one.__qualname__ != other.__qualname__:
        return False
    files = {getattr(sys.modules.get(cls.__module__), "__file__", None) for cls in (one, other)}
    return _place(one) == _place(other) or (len(files) == 1 and None not in files)
