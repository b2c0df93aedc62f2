"""The suite *zoo*: small real tasks that no shipped rule has been trained on."""

import inspect
import json
from pathlib import Path
from typing import Any

from ..registry import find
from ..tasks import TaskFamily
from .measuring import Entry

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist-layer-norm": ("mnist-mlp", {}),
    "mnist-deep-tanh": (
        "mnist-mlp",
        {"hidden": (32,) * 6, "activation": "tanh", "normalise": False, "side": 14},
    ),
    "mnist-autoencoder": ("mnist-autoencoder", {}),
    "mnist-vae": ("mnist-vae", {}),
    "mnist-convolution": ("mnist-convolution", {}),
    "mnist-softmax": ("mnist-softmax", {}),
    "text-transformer": ("text-transformer", {}),
    "text-lstm": ("text-lstm", {}),
    "poisson": ("poisson", {}),
    "point-sets": ("point-sets", {}),
    "communities": ("communities", {}),
    "pendulum": ("pendulum", {}),
    "factorisation": ("factorisation", {}),
    "wave-image": ("wave-image", {}),
}
"""The tasks, with the task family and settings of each."""


def entry(name: str, family: str, settings: dict[str, Any], data_dir: str | Path | None) -> Entry:
    """A task of a suite from a registered family.

    Args:
        name: What the suite calls it.
        family: The family's registered name.
        settings: What differs from the family's defaults.
        data_dir: The folder that holds the data, for families that have any.
    """

    def make() -> TaskFamily:
        cls = find("task family", family)
        takes = "data_dir" in inspect.signature(cls).parameters
        return cls(**settings, **({"data_dir": data_dir} if takes else {}))

    return Entry(name, f"{family} {json.dumps(settings, sort_keys=True)}", make)
