"""Rules from files, checked as `innerloop.load` checks them; nothing here needs JAX."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import FileError, InnerloopError
from ..runtime import weights
from ._general import General
from ._lstm import LSTM, LSTMGAC
from ._per_tensor import PerTensor
from ._rnnprop import RNNprop
from ._rule import Layouts, TorchRule
from ._scheduled_general import ScheduledGeneral

RULES: dict[str, type[TorchRule]] = {
    rule.name: rule for rule in (General, LSTM, LSTMGAC, PerTensor, RNNprop, ScheduledGeneral)
}


class Rules(NamedTuple):
    """What a file holds."""

    name: str
    parts: dict[str, TorchRule]
    """Rules by the part of the parameters that each is for; a rule for all has the part ""."""
    digest: str
    """Of the name, the settings and the weights."""


def read_rules(path_or_name: str | Path) -> Rules:
    """The rule of a file, of a training run's folder, or the shipped one of that name.

    Raises:
        InnerloopError: There is no such file or name, it is damaged or of another version, or
            its rule cannot run in PyTorch.
    """
    path = weights.find(path_or_name, weights.RULE_FILE, "rule")
    header, arrays = weights.read(path)
    weights.check_format(header, path, weights.RULE_FORMAT)
    name = header.get("rule")
    described = {"": header}
    if name == "multi" and isinstance(header.get("settings"), dict):
        described = header["settings"]
    for part in described.values():
        _check_kind(part, path)
    prefixes = {part: f"rules[{part!r}]." if name == "multi" else "" for part in described}
    try:
        weights.check_numbers(header["settings"], largest=weights.LARGEST_SETTING)
        layouts = {
            prefixes[part] + leaf: layout
            for part, each in described.items()
            for leaf, layout in _layouts(each).items()
        }
    except Exception as error:  # A header that is no header of ours.
        raise FileError(
            f"{path} is damaged: its settings make no rule '{weights.shown(name)}'."
        ) from error
    weights.check_arrays(layouts, arrays, path)
    numbers = {leaf: _thawed(each) for leaf, each in arrays.items()}
    weights.check_finite(numbers.values(), path)
    parts = {part: _make(each, numbers, prefixes[part]) for part, each in described.items()}
    return Rules(name, parts, weights.digest(header, arrays))


def _check_kind(description: Any, path: Path) -> None:
    name = description.get("rule") if isinstance(description, dict) else None
    if name not in RULES:
        known = ", ".join(sorted([*RULES, "multi"]))
        raise InnerloopError(
            f"{path} holds the rule '{weights.shown(name)}', which runs in JAX alone; in PyTorch "
            f"these rules run: {known}."
        )


def _make(description: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str) -> TorchRule:
    """The rule of a description, with those of the arrays whose names begin with `prefix`."""
    tensors = {
        name.removeprefix(prefix): torch.tensor(each)
        for name, each in arrays.items()
        if name.startswith(prefix)
    }
    return RULES[description["rule"]](description["settings"], tensors)


def _thawed(array: np.ndarray) -> np.ndarray:
    """An array of a file; the numbers, where it holds their bits."""
    return array.astype(np.uint32).view(np.float32) if array.dtype.kind == "u" else array


def _layouts(description: dict[str, Any]) -> Layouts:
    rule = RULES[description["rule"]]
    return rule.layouts(rule.read(description["settings"]))
