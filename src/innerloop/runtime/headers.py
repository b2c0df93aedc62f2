"""The settings that a file's header names, checked before anything is made of them."""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

LARGEST = 65_536
"""No whole number in a file's settings is larger."""


def check(make: Callable[..., Any], settings: Any) -> None:
    """Raises ValueError unless `settings` are some of those that `make` takes, of the right types.

    Numbers must be finite, and whole numbers no larger than 65,536 either way.
    """
    if not isinstance(settings, Mapping):
        raise ValueError("settings are an object of names and values")
    parameters = inspect.signature(make).parameters
    for name, value in settings.items():
        if name not in parameters or name == "key":
            raise ValueError(f"there is no setting {name}")
        if not _fits(value, parameters[name].annotation):
            raise ValueError(f"{name} has a value that it cannot have")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is None or kind is type(None):
        return value is None
    if kind is float:
        return type(value) in (int, float) and abs(value) < math.inf and _small(value)
    if kind is int:
        return type(value) is int and _small(value)
    return kind in (bool, str) and type(value) is kind


def _small(value: int | float) -> bool:
    return isinstance(value, float) or abs(value) <= LARGEST
