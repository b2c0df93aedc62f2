"""Meta-learners in files: safetensors, like rules."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from ..errors import InnerloopError
from ..runtime import headers as settings_of_files, storage as tensors
from ._base import MetaLearner
from .methods import METHODS, Shape, find_method

_LARGEST_SEED = 1 << 63

FILE = "learner.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What makes a meta-learner, its arrays apart: what the header of its file says."""

    method: str
    data: str
    """What its name says that it learned on."""
    shape: Shape
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: str | None = None
    """Where those images are, if they are a user's own."""
    split_seed: int = 0
    """What decided which of its classes it learned on, if nothing else did."""

    @property
    def name(self) -> str:
        """METHOD-DATA-Nw-Ks, as shipped learners are called."""
        return f"{self.method}-{self.data}-{self.shape.way}w-{self.shape.shot}s"

    def make(self, *, key: Any) -> MetaLearner:
        """The meta-learner, untrained. Raises `InnerloopError` for settings it does not have."""
        make = find_method(self.method)
        try:
            return make(self.shape, key=key, **self.settings)
        except TypeError as error:
            raise InnerloopError(f"The method {self.method} cannot be made: {error}.") from error


def save(
    learner: MetaLearner, recipe: Recipe, path: str | Path, *, run: dict[str, Any] | None = None
) -> Path:
    """Write `learner` to `path`; `run` is what is to be remembered of its training.

    Raises `InnerloopError` where `path` cannot be written.
    """
    return tensors.write(learner, path, dataclasses.asdict(recipe), run or {})


def load(path_or_name: str | Path) -> tuple[MetaLearner, Recipe]:
    """A meta-learner from a file, a training run's folder, or a shipped one by its name.

    Raises `InnerloopError` where there is no such file or name, or the file is damaged, of
    another kind or of another version.
    """
    path = _find(path_or_name)
    header, arrays = tensors.read(path)
    tensors.check_format(header, path, oldest=1)
    method = header.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise InnerloopError(
            f"{path} holds no meta-learner that this version knows; known are {', '.join(METHODS)}."
        )
    try:
        settings_of_files.check(METHODS[method], header["settings"])
        _check(header)
        recipe = Recipe(
            method=method,
            data=header["data"],
            shape=Shape(**header["shape"]),
            settings=header["settings"],
            source=header["source"],
            split_seed=header["split_seed"],
        )
        learner = eqx.filter_eval_shape(lambda: recipe.make(key=jax.random.key(0)))
    except Exception as error:  # A header that is no header of ours.
        raise InnerloopError(f"{path} is damaged: its settings make no {method}.") from error
    return tensors.fill(learner, arrays, path), recipe


def _check(header: dict[str, Any]) -> None:
    """Raises ValueError where what a recipe has beside its settings is not what it must be."""
    shape = header["shape"]
    settings_of_files.check(Shape, shape)
    if not all(size >= 1 for size in shape.values()):
        raise ValueError("a shape of nothing")
    if not isinstance(header["data"], str) or not isinstance(header["source"], str | None):
        raise ValueError("a name that is no text")
    seed = header["split_seed"]
    if type(seed) is not int or not abs(seed) <= _LARGEST_SEED:
        raise ValueError("no seed")


def describe(path_or_name: str | Path) -> dict[str, Any]:
    """The header of a saved or shipped meta-learner."""
    return tensors.read(_find(path_or_name))[0]


def shipped() -> list[str]:
    """The names of the meta-learners that come with the package."""
    return tensors.shipped("fewshot")


def _find(path_or_name: str | Path) -> Path:
    return tensors.find(path_or_name, FILE, "meta-learner", "fewshot")
