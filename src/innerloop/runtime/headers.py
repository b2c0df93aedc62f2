"""What a file's header says a registered thing is made of: its name and its settings, as JSON.

Settings are numbers, texts, truth values, None and lists of them as JSON has them, and four things
that JSON has not, each an object with one key that says what it is:

    {"tuple": [...]}    {"dict": {...}}
    {"array": [shape...], "dtype": name}      an array, whose numbers are in the file
    {"rule": name, "settings": {...}}         another registered thing, by its kind

A name is looked up among the classes that this process has registered; nothing is imported.
"""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import registry
from ..errors import InnerloopError

LARGEST = 65_536
"""No whole number in a file's settings is larger, where `check` is not told otherwise."""
MOST_PARTS = 256
"""Registered things that one header may hold, those within others included."""


class UnknownName(InnerloopError):
    """A header names a class that this process has not registered."""


def describe(thing: Any) -> dict[str, Any]:
    """{kind: name, "settings": {…}}, from which `make` makes a thing of the same structure.

    Args:
        thing: An instance of a registered class. Its method `settings()`, if it has one, gives
            the constructor's keyword arguments; otherwise they are read back from its fields.

    Raises:
        InnerloopError: The class is not registered, or a setting is nothing that JSON can hold.
    """
    cls = type(thing)
    name = registry.name_of(cls)
    if name is None:
        raise InnerloopError(
            f"A {cls.__name__} cannot be saved, since its class has no name of its own: write "
            '@innerloop.register("some-name") above it.'
        )
    own: Any = getattr(cls, "settings", None)
    settings: dict[str, Any] = own(thing) if callable(own) else settings_of(thing)
    told = {key: _encode(value, f"{cls.__name__}'s {key}") for key, value in settings.items()}
    return {cls.registry_kind: name, "settings": told}


def settings_of(thing: Any) -> dict[str, Any]:
    """The keyword arguments of a thing's constructor, read back from fields of the same names.

    `key` is left out. So is an argument that is no field and has a default, since it only says
    where the arrays begin.

    Raises:
        InnerloopError: An argument without a default is no field.
    """
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        if name == "key" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in vars(thing):
            settings[name] = getattr(thing, name)
        elif parameter.default is parameter.empty:
            raise InnerloopError(
                f"A {type(thing).__name__} cannot be saved, since what its constructor was given "
                f"as {name} cannot be read back: keep it in a field {name}, or give {name} a "
                "default."
            )
    return settings


def make(described: Any, kind: str) -> Any:
    """The thing that a header describes, with any numbers in its arrays; to be traced.

    Raises:
        UnknownName: Its class, or that of a part, is not registered in this process.
        Exception: Whatever a constructor raises on settings that are none.
    """
    return _Making().thing(described, kind)


def _encode(value: Any, what: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (jax.Array, np.ndarray)) and _is_numeric(value):
        return {"array": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        items = [_encode(item, f"{what}[{place}]") for place, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: _encode(item, f"{what}[{name!r}]") for name, item in value.items()}}
    if getattr(type(value), "registry_kind", None) is not None:
        return describe(value)
    name = getattr(value, "__qualname__", None)
    shown = f"the function {name}" if callable(value) and name else f"{value!r:.60}"
    raise InnerloopError(
        f"{what} is {shown}, which a file cannot hold; numbers, texts, truth values, None, arrays, "
        "registered rules, and lists, tuples and dictionaries of them can be saved."
    )


def _is_numeric(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.number) or jnp.issubdtype(array.dtype, jnp.bool_)


class _Making:
    """One header on the way to a thing; it counts the parts."""

    def __init__(self):
        self.parts = 0

    def thing(self, described: Any, kind: str) -> Any:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise ValueError(f"more than {MOST_PARTS} parts")
        name, settings = described[kind], described["settings"]
        if not isinstance(name, str):
            raise TypeError("a name that is no text")
        cls = registry.members(kind).get(name)
        if cls is None:
            raise UnknownName(name)
        given = {key: self.value(value) for key, value in settings.items()}
        check(cls, given, largest=None)
        if "key" in inspect.signature(cls).parameters:
            given["key"] = jax.random.key(0)
        return cls(**given)

    def value(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self.value(item) for item in told]
        if not isinstance(told, dict):
            return told
        if "array" in told:
            dtype = jax.dtypes.canonicalize_dtype(jnp.dtype(told["dtype"]))
            return jnp.zeros(tuple(told["array"]), dtype)
        if "tuple" in told:
            return tuple(self.value(item) for item in told["tuple"])
        if "dict" in told:
            return {name: self.value(item) for name, item in told["dict"].items()}
        (kind,) = set(told) - {"settings"}
        return self.thing(told, kind)


def check(make: Callable[..., Any], settings: Any, *, largest: int | None = LARGEST) -> None:
    """Raises ValueError unless `settings` are some of those that `make` takes, of the right types.

    Numbers must be finite, and whole numbers no larger than `largest` either way. A parameter
    whose annotation is none of the plain types takes anything.
    """
    if not isinstance(settings, Mapping):
        raise ValueError("settings are an object of names and values")
    parameters = inspect.signature(make).parameters
    some = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name, value in settings.items():
        if name not in parameters and some:
            continue
        if name not in parameters or name == "key":
            raise ValueError(f"there is no setting {name}")
        if isinstance(value, (jax.Array, jax.ShapeDtypeStruct, eqx.Module)):
            continue
        if not _fits(value, parameters[name].annotation, largest):
            raise ValueError(f"{name} has a value that it cannot have")


def _fits(value: Any, kind: Any, largest: int | None) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_fits(value, one, largest) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is None or kind is type(None):
        return value is None
    if kind is float:
        return type(value) in (int, float) and abs(value) < math.inf and _small(value, largest)
    if kind is int:
        return type(value) is int and _small(value, largest)
    return type(value) is kind if kind in (bool, str) else True


def _small(value: int | float, largest: int | None) -> bool:
    return isinstance(value, float) or largest is None or abs(value) <= largest
