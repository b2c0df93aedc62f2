"""Rules in files: safetensors with a header of names and settings, and no code."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from .. import registry
from ..errors import FileError, InnerloopError
from ..runtime import storage
from ..runtime.weights import (
    LARGEST_SETTING as _LARGEST_NUMBER,
    RULE_FILE as FILE,
    RULE_FORMAT as _FORMAT,
)
from ._base import Rule
from .scheduled_general import ScheduledGeneralRule


class _UnknownKindError(Exception):
    """A header names a rule that is not registered; the name is the argument."""


def save(rule: Rule, path: str | Path, *, run: dict[str, Any] | None = None) -> Path:
    """Write a rule to a file, which is made whole before it replaces what is there.

    Args:
        rule: A rule whose class is registered: one of innerloop's, an `OptaxRule` of a named
            Optax optimizer, or one of your own with `@innerloop.register("a-name")`.
        path: The file; missing folders are made.
        run: What is to be remembered of the run that made it, as JSON can hold it.

    Returns:
        The file's path.

    Raises:
        InnerloopError: The rule cannot be saved, or the file cannot be written.

    Example:
        >>> import innerloop, jax, tempfile
        >>> rule = innerloop.RNNpropRule(key=jax.random.key(0), hidden=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = innerloop.save(rule, folder + "/mine.safetensors")
        ...     again = innerloop.load(path)
        >>> again.hidden
        4
    """
    return storage.write(rule, path, {"format": _FORMAT, **describe_rule(rule)}, run or {})


def load(path_or_name: str | Path) -> Rule:
    """A rule from a file.

    Nothing is imported and no code of the file's choice runs: a header holds the name of a
    registered class, and settings.

    Args:
        path_or_name: A file, a training run's folder, a shipped rule's name, or hf://USER/NAME for
            one on the Hugging Face Hub.

    Returns:
        The rule.

    Raises:
        InnerloopError: There is no such file or name, the file is damaged or of another
            version, or its class is not registered in this process.

    Example:
        >>> import innerloop
        >>> innerloop.load("lstm-quadratic").hidden
        20
    """
    path = _find(path_or_name)
    header, arrays = storage.read(path)
    storage.check_format(header, path, _FORMAT)
    try:
        storage.check_numbers(header["settings"], largest=_LARGEST_NUMBER)
        rule = eqx.filter_eval_shape(lambda: make_rule(header))
    except _UnknownKindError as unknown:
        raise FileError(
            f"{path} needs the rule '{storage.shown(unknown)}', which is not registered in this "
            "process: import the module that registers it, or name it as path/to/file.py:NAME.",
            arguments=("rule_file",),
        ) from None
    except Exception as error:  # A header that is no header of ours.
        raise FileError(
            f"{path} is damaged: its settings make no rule '{storage.shown(header.get('rule'))}'."
        ) from error
    loaded = storage.fill(rule, arrays, path)
    storage.check_finite(_frozen_numbers(loaded), path)
    return loaded


def _frozen_numbers(rule: Rule) -> list[jax.Array]:
    """The numbers that a rule, or a part of it, holds as bits."""

    def is_frozen(node: Any) -> bool:
        return isinstance(node, ScheduledGeneralRule)

    nodes = jax.tree.leaves(rule, is_leaf=is_frozen)
    return jax.tree.leaves([node.general for node in nodes if is_frozen(node)])


def check_savable(rule: Rule) -> None:
    """Check that a rule can be saved and loaded again, before time is spent on training it.

    Args:
        rule: Any rule.

    Raises:
        InnerloopError: Its class is not registered, or what it was made with is not all in its
            settings and arrays.
    """
    header = describe_rule(rule)
    refused = f"{type(rule).__name__} cannot be saved"
    _check_plain(header["settings"], refused)
    again = _made_again(header, refused)
    for place, leaf in storage.named_leaves(rule).items():
        if not storage.is_numeric(leaf):
            raise InnerloopError(
                f"{refused}: {place} is {leaf!r:.60}, which is no array of numbers. What is not "
                "learned must be a static field, eqx.field(static=True)."
            )
    if not _alike(again, rule):
        raise InnerloopError(
            f"{refused}: made again from its settings {header['settings']} it has other arrays or "
            "fields. What they depend on must be an argument of its constructor, and a field of "
            "the same name."
        )


def _check_plain(settings: dict[str, Any], refused: str) -> None:
    """Raises `InnerloopError` where a setting would be lost in a file of JSON."""
    for name, value in settings.items():
        try:
            told = json.loads(json.dumps(value))
            storage.check_numbers(told, largest=_LARGEST_NUMBER)
        except (TypeError, ValueError):
            raise InnerloopError(
                f"{refused}: its {name} is {value!r:.60}; numbers in a file are finite, and at "
                f"most {_LARGEST_NUMBER}."
            ) from None


def _made_again(header: dict[str, Any], refused: str) -> Rule:
    """The rule that a file with this header would make, without numbers."""
    told = json.loads(json.dumps(header))
    try:
        return eqx.filter_eval_shape(lambda: make_rule(told))
    except Exception as error:  # Whatever a user's own constructor raises.
        raise InnerloopError(
            f"{refused}: it cannot be made again from its settings {header['settings']} "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})."
        ) from error


def _alike(again: Rule, rule: Rule) -> bool:
    """Whether both have the same static fields, and arrays of the same shapes and kinds."""
    one, other = storage.named_leaves(again), storage.named_leaves(rule)
    try:
        same = jax.tree.structure(again) == jax.tree.structure(rule)
    except ValueError:  # NumPy's arrays in static fields.
        return False
    return same and all(storage.layout(one[name]) == storage.layout(other[name]) for name in one)


def describe_rule(rule: Rule) -> dict[str, Any]:
    """The name and the settings of a rule, as a header holds them.

    Raises:
        InnerloopError: The rule's class is not registered, or its settings are no plain values.
    """
    name = registry.name_of(type(rule))
    if name is None:
        raise InnerloopError(
            f"{type(rule).__name__} cannot be saved, as it has no name: write "
            '@innerloop.register("a-name") above its class.'
        )
    return {"rule": name, "settings": rule.to_settings()}


def make_rule(description: dict[str, Any]) -> Rule:
    """The rule of a description, with any numbers in its arrays."""
    name = description.get("rule")
    known = registry.members("rule")
    if not isinstance(name, str) or name not in known:
        raise _UnknownKindError(name)
    return known[name].from_settings(description["settings"], key=jax.random.key(0))


def describe(path_or_name: str | Path) -> dict[str, Any]:
    """The header of a saved or shipped rule: `rule`, `settings`, `versions` and `run`."""
    return storage.read(_find(path_or_name))[0]


def shipped_file(name: str) -> Path:
    """The file of a shipped rule, even where the present folder has something of that name.

    Raises `InnerloopError` where none is shipped under it.
    """
    return storage.shipped_file(name, "rule")


def shipped() -> list[str]:
    """The names of the rules that come with the package."""
    return storage.shipped()


def _find(path_or_name: str | Path) -> Path:
    return storage.find(path_or_name, FILE, "rule")
