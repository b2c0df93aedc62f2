"""Settings as options: the types that tyro parses, made from classes and their defaults.

A command line is read twice. The words that name things come first (a task, `--rule`,
`--estimator`, `--config`); then tyro parses all words against the settings of those things, whose
own values are the defaults that `--help` shows.
"""

import argparse
import ast
import contextlib
import dataclasses
import functools
import inspect
import itertools
import os
import re
import textwrap
import typing
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import docstring_parser
import tyro

from ..errors import InnerloopError, SettingsError

Arguments = TypeVar("Arguments")
Flat = tyro.conf.OmitArgPrefixes
"""An annotation: the options of a nested dataclass have no prefix."""
_flags: list[str] = []
"""The options of the command that is being run."""


def named(words: Sequence[str], *options: str) -> dict[str, str | None]:
    """The values of some options that decide what the other options are.

    Args:
        words: The command line.
        options: Such as "--rule".
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in options:
        parser.add_argument(option, dest=option, nargs="?")
    found, _ = parser.parse_known_args(list(words))
    return vars(found)


def leading(words: Sequence[str]) -> list[str]:
    """The words before the first option."""
    count = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:count])


def is_given(words: Iterable[str], option: str) -> bool:
    """Whether an option, or one that has it as its prefix, is on the command line."""
    return any(word == option or word.startswith((f"{option}=", f"{option}.")) for word in words)


def asks_for_help(words: Iterable[str]) -> bool:
    """Whether the options are to be shown, and nothing is to be done."""
    return not {"-h", "--help"}.isdisjoint(words)


def some_of(cls: type[Arguments], words: Sequence[str], **more: type) -> Any:
    """The options of a dataclass out of a command line that has others too.

    Args:
        cls: The dataclass.
        words: The command line.
        more: Other dataclasses, whose options have the argument's name as their prefix.

    Returns:
        An object with `flat`, the instance of `cls`, and the others by name.
    """
    fields: list[Any] = [("flat", Annotated[cls, Flat]), *more.items()]
    only = dataclasses.make_dataclass("Only", fields)
    return tyro.cli(only, args=list(words), return_unknown_args=True, add_help=False)[0]


def settings_type(make: Callable[..., Any], settings: dict[str, Any], *, within: str) -> type:
    """A dataclass with the settings that a class takes, for tyro.

    Args:
        make: The class, or a function.
        settings: Values to show as defaults in place of the class's own.
        within: The prefix of the options, for messages: "rule.".
    """
    from ..runtime.settings import parameters, read_arguments

    values = read_arguments(make, settings, within=within)
    known = inspect.isclass(make) or inspect.isroutine(make)
    # A user's own object may hold arrays, and then has no hash.
    texts = _descriptions(make if known else type(make))
    fields: list[Any] = []
    for parameter in parameters(make).values():
        hint = Annotated[parameter.hint, tyro.conf.arg(help=texts.get(parameter.name, ""))]
        default = values.get(parameter.name, parameter.default)
        if default is inspect.Parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, dataclasses.field(default=default)))
    summary = (inspect.getdoc(make) or "").partition("\n")[0]
    return dataclasses.make_dataclass(
        "Settings", fields, kw_only=True, frozen=True, namespace={"__doc__": summary}
    )


def parse(cls: type[Arguments], words: Sequence[str], *, command: str) -> Arguments:
    """The command line as an instance of a dataclass.

    Args:
        cls: The dataclass. The docstrings of its fields are the help of its options.
        words: The command line after the command.
        command: The command's name.
    """
    _flags[:] = _options_of(cls)
    with _plain_if_asked():
        return tyro.cli(cls, args=list(words), prog=f"innerloop {command}")


@contextlib.contextmanager
def _plain_if_asked() -> Generator[None]:
    """While entered, tyro prints no colours where NO_COLOR is set: it looks at TERM alone."""
    former = os.environ.get("TERM")
    if os.environ.get("NO_COLOR"):
        os.environ["TERM"] = "dumb"
    try:
        yield
    finally:
        if former is not None:
            os.environ["TERM"] = former


def options_for(arguments: Iterable[str]) -> list[str]:
    """The options of the command that is being run, for arguments of the library."""
    found: list[str] = []
    for argument in arguments:
        option = argument.replace("_", "-")
        ends = [flag for flag in _flags if flag == option or flag.endswith(f".{option}")]
        last = option.rpartition(".")[2]
        ends = ends or [flag for flag in _flags if flag == last]
        found += [f"--{flag}" for flag in ends]
    return list(dict.fromkeys(found))


def sentence(error: InnerloopError) -> str:
    """An error's message, with the options that it is about.

    The library names its arguments. This is the one place that names options.
    """
    options = [option for option in options_for(error.arguments) if option not in str(error)]
    if not options:
        return str(error)
    if isinstance(error, SettingsError):
        return f"{options[0]}: {error}"
    if len(options) == 1:
        return f"{error} Use {options[0]}."
    return f"{error} (The options are: {', '.join(options)}.)"


def _options_of(cls: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    hints = typing.get_type_hints(cls, include_extras=True)
    for each in dataclasses.fields(cls):
        notes = getattr(hints[each.name], "__metadata__", ())
        kind = typing.get_args(hints[each.name])[0] if notes else hints[each.name]
        name = each.name.replace("_", "-")
        for note in notes:
            name = getattr(note, "name", None) or name
        if dataclasses.is_dataclass(kind):
            flat = any(note is _FLAT_MARK for note in notes)
            found += _options_of(kind, prefix if flat else f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


_FLAT_MARK: Any = typing.get_args(Annotated[int, tyro.conf.OmitArgPrefixes])[1]


@functools.cache
def _descriptions(make: Any) -> dict[str, str]:
    """The help of each setting: from the docstrings of fields, or the `Args:` of a docstring."""
    found: dict[str, str] = {}
    for base in reversed(getattr(make, "__mro__", ())):
        found |= _of_fields(base)
    for thing in (make, getattr(make, "__init__", None)):
        text = inspect.getdoc(thing) or ""
        style = docstring_parser.DocstringStyle.GOOGLE
        for parameter in docstring_parser.parse(text, style).params:
            found[parameter.arg_name] = parameter.description or ""
    return {name: re.sub(r"\s+", " ", text) for name, text in found.items()}


def _of_fields(cls: type) -> dict[str, str]:
    """The texts that stand below the fields of a class in its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):  # Classes of a notebook or of C have no source.
        return {}
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
