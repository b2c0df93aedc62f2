"""Rules in files: safetensors with a JSON header, and nothing that could run code."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from ..errors import InnerloopError
from ..runtime import headers as settings_of_files, storage as tensors
from ._base import Rule
from .general import GeneralRule
from .lstm import LSTMRule
from .lstm_gac import LSTMGACRule
from .meta_lstm import MetaLSTMRule
from .multi import MultiRule
from .ntm_bfgs import NTMBFGSRule
from .per_tensor import PerTensorRule
from .rnnprop import RNNpropRule

KINDS: dict[str, type[Rule]] = {
    "general": GeneralRule,
    "lstm": LSTMRule,
    "lstm-gac": LSTMGACRule,
    "meta-lstm": MetaLSTMRule,
    "ntm-bfgs": NTMBFGSRule,
    "rnnprop": RNNpropRule,
    "tensorwise": PerTensorRule,
}
"""The rules that files can hold, by the name written in their header."""
MULTI = "multi"
"""The name of several of them together, a `MultiRule`; its settings are one recipe a part."""


def save(rule: Rule, path: str | Path, *, run: dict[str, Any] | None = None) -> Path:
    """Write `rule` to `path` (made whole before it replaces what is there).

    The header holds the kind of rule, its settings, versions, and `run`: what the caller
    wants remembered of the run that made it. Raises `InnerloopError` for a rule that files
    cannot hold, or where `path` cannot be written.
    """
    return tensors.write(rule, path, _recipe(rule), run or {})


def check_savable(rule: Rule) -> None:
    """Raises `InnerloopError` where `save` would refuse `rule`."""
    _recipe(rule)


def load(path_or_name: str | Path) -> Rule:
    """A rule from a file, a training run's folder, or a shipped one by its name.

    Raises `InnerloopError` where there is no such file or name, or the file is damaged, of
    another kind or of another version.
    """
    path = _find(path_or_name)
    header, arrays = tensors.read(path)
    tensors.check_format(header, path)
    kind = header.get("rule")
    try:
        _check(header, len(arrays))
        rule = eqx.filter_eval_shape(lambda: _made(header))
    except _UnknownKind as error:
        raise InnerloopError(
            f"{path} holds a rule of kind '{tensors.shown(error)}'; {_kinds()} can be read."
        ) from None
    except Exception as error:  # A header that is no header of ours.
        raise InnerloopError(
            f"{path} is damaged: its settings make no rule of kind '{tensors.shown(kind)}'."
        ) from error
    return tensors.fill(rule, arrays, path)


def describe(path_or_name: str | Path) -> dict[str, Any]:
    """The header of a saved or shipped rule: `rule`, `settings`, `versions` and `run`."""
    return tensors.read(_find(path_or_name))[0]


def shipped() -> list[str]:
    """The names of the rules that come with the package."""
    return tensors.shipped()


def _find(path_or_name: str | Path) -> Path:
    return tensors.find(path_or_name, "rule.safetensors", "rule")


class _UnknownKind(Exception):
    pass


def _recipe(rule: Rule) -> dict[str, Any]:
    """Kind and settings: what the rule's constructor takes, read back from its fields."""
    if isinstance(rule, MultiRule):
        parts = {name: _recipe(part) for name, part in rule.rules.items()}
        return {"rule": MULTI, "settings": parts}
    kind = next((kind for kind, cls in KINDS.items() if type(rule) is cls), None)
    if kind is None:
        raise InnerloopError(f"A {type(rule).__name__} cannot be saved; {_kinds()} can.")
    names = inspect.signature(type(rule)).parameters
    # What only says where training begins is no field: the arrays tell where it ended.
    fields = {field.name for field in dataclasses.fields(rule)}
    settings = {name: getattr(rule, name) for name in names if name in fields}
    return {"rule": kind, "settings": settings}


def _check(recipe: dict[str, Any], arrays: int) -> None:
    """Raises what `_made` would raise, before anything is made.

    A layer has an array of its own, and so has a part: more of them than arrays would be made
    for hours and fit no file.
    """
    kind, settings = recipe.get("rule"), recipe["settings"]
    parts = list(settings.values()) if kind == MULTI else [recipe]
    if len(parts) > arrays:
        raise ValueError("more parts than arrays")
    depth = 0
    for part in parts:
        kind, settings = part.get("rule"), part["settings"]
        if not isinstance(kind, str) or kind not in KINDS:
            raise _UnknownKind(kind)
        settings_of_files.check(KINDS[kind], settings)
        depth += settings.get("depth", 0)
    if depth > arrays:
        raise ValueError("more layers than arrays")


def _made(recipe: dict[str, Any], *, nested: bool = False) -> Rule:
    """The rule of a recipe, with any numbers in its arrays."""
    kind, settings = recipe.get("rule"), recipe["settings"]
    if kind == MULTI and not nested:
        return MultiRule({name: _made(part, nested=True) for name, part in settings.items()})
    if not isinstance(kind, str) or kind not in KINDS:
        raise _UnknownKind(kind)
    return KINDS[kind](key=jax.random.key(0), **settings)  # pyright: ignore[reportCallIssue]


def _kinds() -> str:
    return ", ".join([*KINDS, MULTI])
