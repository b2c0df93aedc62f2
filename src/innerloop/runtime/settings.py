"""Settings as frozen dataclasses: one check of types and ranges, and their form in files.

A settings class calls `check(self)` in `__post_init__` (in `__check_init__`, for an
`equinox.Module`). The type of a field says what it may be; a range is written beside it, as in
`Annotated[int, Range(at_least=1)]`.
"""

import dataclasses
import difflib
import inspect
import math
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import numpy as np
import tomli_w

from ..errors import FileError, InnerloopError, SettingsError, UnknownNameError
from .files import LARGEST_TEXT, read_bytes

Settings = TypeVar("Settings")
NONE = "none"
"""How a file writes a None that is not the default: TOML has no word for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Which numbers a setting accepts: all that meet every bound that is given."""

    at_least: float | int | None = None
    above: float | int | None = None
    at_most: float | int | None = None

    def holds(self, number: float | int) -> bool:
        """Whether `number` is in the range; NaN is in none."""
        low = self.at_least is None or number >= self.at_least
        return (
            low
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        bounds = {"of at least": self.at_least, "above": self.above, "at most": self.at_most}
        return " and ".join(
            f"{word} {bound}" for word, bound in bounds.items() if bound is not None
        )


Count = Annotated[int, Range(at_least=1)]
Positive = Annotated[float, Range(above=0)]
Seed = Annotated[int, Range(at_least=0, at_most=2**32 - 1)]
"""What a random key is made from: JAX takes 32 bits of it."""


def check(settings: Any) -> None:
    """Check the type and range of every field of a dataclass; NumPy's scalars become Python's.

    Args:
        settings: An instance of a dataclass, in its `__post_init__`.

    Raises:
        SettingsError: A field has a value of another type, or out of its range.
    """
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, np.generic):  # Files of settings know none of NumPy's numbers.
            value = value.item()
            object.__setattr__(settings, field.name, value)
        check_value(field.name, value, hints[field.name])


def check_value(name: str, value: Any, hint: Any) -> None:
    """Raises `SettingsError` unless `value` is what the type `hint` allows."""
    if not _fits(value, hint):
        raise SettingsError(name, value, accepted(hint))


def accepted(hint: Any) -> str:
    """A type in words: "a whole number of at least 1 or None"."""
    kind, ranges = _bare(hint)
    if typing.get_origin(kind) is Literal:
        return " or ".join(", ".join(map(str, part)) for part in _last_apart(typing.get_args(kind)))
    if _is_union(kind):
        return " or ".join(accepted(each) for each in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a sequence of: {accepted(typing.get_args(kind)[0])}"
    words = {
        int: "a whole number",
        float: "a number",
        bool: "True or False",
        str: "a text",
        types.NoneType: "None",
    }
    word = words.get(kind, getattr(kind, "__name__", str(kind)))
    return word + "".join(f" {each}" for each in ranges)


def to_dict(settings: Any) -> dict[str, Any]:
    """A dataclass as nested dicts of what JSON can hold; tuples become lists."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


def from_dict(cls: type[Settings], values: Mapping[str, Any], *, within: str = "") -> Settings:
    """The settings class `cls` from what `to_dict` gives; fields left out have their defaults.

    Args:
        cls: A dataclass.
        values: Fields by name. Nested dataclasses are dicts themselves.
        within: The names of the tables that `values` lies in, for messages: "loop.".

    Raises:
        UnknownNameError: There is no field of a name.
        SettingsError: A value is of another type, out of its range, or missing.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    check_names(values, fields, within=within)
    for name, field in fields.items():
        has_default = any(
            each is not dataclasses.MISSING for each in (field.default, field.default_factory)
        )
        if name not in values and not has_default:
            raise SettingsError(f"{within}{name}", None, accepted(hints[name]))
    return cls(
        **{name: _read(f"{within}{name}", each, hints[name]) for name, each in values.items()}
    )


def to_toml(settings: Any) -> str:
    """A dataclass, or a mapping of plain values, as TOML.

    A None is left out where it is the field's default, and written "none" elsewhere.
    """
    return tomli_w.dumps(
        _without_none(settings) if isinstance(settings, Mapping) else _table(settings)
    )


def from_toml(cls: type[Settings], path: str | Path) -> Settings:
    """The settings class `cls` from a TOML file that `to_toml` or a user wrote.

    Raises:
        FileError: The file cannot be read, or is no TOML.
        InnerloopError: As `from_dict`; the message names the file.
    """
    try:
        values = tomllib.loads(read_bytes(path, LARGEST_TEXT).decode())
    except FileError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no TOML file: {error}.") from error
    try:
        return from_dict(cls, values)
    except InnerloopError as error:
        raise FileError(f"In {path}: {error}") from error


def check_names(values: Mapping[str, Any], known: Collection[str], *, within: str) -> None:
    """Raises `UnknownNameError` where `values` has a name that is not `known`."""
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            there = ", ".join(sorted(known)) or "none"
            raise UnknownNameError(
                f"There is no setting '{within}{name}'.{meant} There are: {there}."
            )


# What a class is told when it is made.


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A setting that a class or function takes by keyword."""

    name: str
    hint: Any
    default: Any
    """`inspect.Parameter.empty` where it has none."""


def parameters(make: Any, *, plain: bool = True) -> dict[str, Parameter]:
    """What `make` takes and a file or command line can say: numbers, texts, and tuples of them.

    `key` and `data_dir` are no settings. Neither are arguments of other types, arrays for one,
    unless `plain` is False.

    Raises:
        InnerloopError: An argument of another type has no default.
    """
    if not callable(make):
        return {}  # An object that is made already.
    hints = _hints(make)
    found: dict[str, Parameter] = {}
    for name, parameter in inspect.signature(make).parameters.items():
        if name in ("key", "data_dir") or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        hint = hints.get(name, parameter.annotation)
        if hint is parameter.empty and not plain:
            hint = Any
        if not plain or _is_plain(hint):
            found[name] = Parameter(name, hint, parameter.default)
        elif parameter.default is parameter.empty:
            raise InnerloopError(
                f"{getattr(make, '__name__', make)} cannot be made from settings: its argument "
                f"{name} is no number or text."
            )
    return found


def can_be_made(make: Any) -> bool:
    """Whether `make` needs nothing but what settings can say."""
    try:
        parameters(make)
    except InnerloopError:
        return False
    return True


def read_arguments(
    make: Callable[..., Any], values: Mapping[str, Any], *, within: str = "", plain: bool = True
) -> dict[str, Any]:
    """`values` as keyword arguments of `make`: checked, lists as tuples, "none" as None.

    Unless `plain`, values may be of any type that their argument is said to be of.

    Raises:
        UnknownNameError: `make` takes no setting of a name.
        SettingsError: A value is of another type, or out of its range.
    """
    known = parameters(make, plain=plain)
    check_names(values, known, within=within)
    return {
        name: _read(f"{within}{name}", value, known[name].hint) for name, value in values.items()
    }


def arguments_of(thing: Any) -> dict[str, Any]:
    """The settings that `thing` was made with, read back from its attributes."""
    return {
        name: _plain(getattr(thing, name))
        for name in parameters(type(thing))
        if hasattr(thing, name)
    }


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    if inspect.isclass(make) and "__init__" in vars(make) and not _has_made_init(make):
        make = make.__init__
    try:
        return typing.get_type_hints(make, include_extras=True)
    except (NameError, TypeError):  # A user's annotations may be strings that name nothing here.
        return {}


def _has_made_init(cls: type) -> bool:
    """Whether the class's `__init__` is the one that `dataclasses` made of its fields."""
    if not dataclasses.is_dataclass(cls):
        return False
    fields = {field.name for field in dataclasses.fields(cls) if field.init}
    return fields == set(inspect.signature(cls).parameters)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _table(settings: Any) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None:
            if field.default is not None:
                table[field.name] = NONE
        elif dataclasses.is_dataclass(value):
            table[field.name] = _table(value)
        else:
            table[field.name] = _without_none(_plain(value))
    return table


def _without_none(value: Any) -> Any:
    """In a dict nobody knows what the default is, so that every None is written."""
    if isinstance(value, Mapping):
        return {name: _without_none(each) for name, each in value.items()}
    return NONE if value is None else value


def _read(name: str, value: Any, hint: Any) -> Any:
    """A value of a file as the type `hint`."""
    kind, _ = _bare(hint)
    options = typing.get_args(kind) if _is_union(kind) else (kind,)
    if value in (None, NONE) and types.NoneType in options:
        return None
    for option in options:
        bare, _ = _bare(option)
        if dataclasses.is_dataclass(bare) and isinstance(value, Mapping):
            return from_dict(bare, value, within=f"{name}.")  # pyright: ignore[reportArgumentType]
        if typing.get_origin(bare) is tuple:
            # One value stands for a sequence of it.
            value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if bare is float and type(value) is int:
            value = float(value)
    check_value(name, value, hint)
    return value


def _bare(hint: Any) -> tuple[Any, list[Range]]:
    """A type without what is annotated, and the ranges that were."""
    ranges: list[Range] = []
    while typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
        ranges += [note for note in notes if isinstance(note, Range)]
    return hint, ranges


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (Union, types.UnionType)


def _fits(value: Any, hint: Any) -> bool:
    kind, ranges = _bare(hint)
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if _is_union(kind):
        return any(_fits(value, each) for each in options)
    if origin is Literal:
        return isinstance(value, str) and value in options
    if origin is tuple:
        if not isinstance(value, tuple) or (options[-1] is not ... and len(value) != len(options)):
            return False
        each = options[:1] * len(value) if options[-1] is ... else options
        return all(_fits(one, of) for one, of in zip(value, each, strict=True))
    if kind in (int, float, bool, str, types.NoneType):
        if not _is_kind(value, kind):
            return False
        return all(each.holds(value) for each in ranges)
    if kind is Any or not inspect.isclass(origin or kind):
        return True
    return isinstance(value, origin or kind)


def _is_kind(value: Any, kind: type) -> bool:
    if isinstance(value, bool):  # An int to Python alone.
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and not math.isnan(value)
    return isinstance(value, kind)


def _is_plain(hint: Any) -> bool:
    kind, _ = _bare(hint)
    if _is_union(kind) or typing.get_origin(kind) is tuple:
        return all(each is ... or _is_plain(each) for each in typing.get_args(kind))
    return typing.get_origin(kind) is Literal or kind in (int, float, bool, str, types.NoneType)


def _last_apart(options: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [options[:-1], options[-1:]] if len(options) > 1 else [options]
