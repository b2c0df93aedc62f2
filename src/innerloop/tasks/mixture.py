"""Several families, for one rule that learns on all of them."""

import inspect
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from ..errors import SettingsError
from ..registry import find, register
from ._base import Split, TaskFamily
from .rescaled import Rescaled

FAMILIES = (
    "images8",
    "convolution8",
    "tiny-transformer",
    "teacher-student",
    "random-projection",
    "logistic",
)


@register("mixture")
@final
class Mixture(TaskFamily):
    """Problems of several families side by side, all of equal weight.

    All problems of a task family must have parameters of the same structure and shapes, which
    those of different families have not. A problem of the mixture is therefore one problem of
    each family: its parameters are a tuple with theirs, and its loss is the mean of their losses.
    A rule works on it as it would on each problem alone, as long as it treats arrays apart and
    does not mind the gradient's unit.

    `PersistentEvolutionStrategies` does not work on the joint problem, but on problems of each
    family by themselves, which have horizons and changes of the rule of their own.

    Args:
        names: Names of registered task families, made with their own defaults.
        decades: Where above 0, problems for meta-training are seen through `Rescaled` with these
            `decades`. Validation and testing use problems as they are posed.
        data_dir: The folder that holds the data, for those families that have any.
        families: Families that are made already, in place of the named ones.

    Raises:
        InnerloopError: There is no family, a name is not registered, or a family's data is not
            to be had.
    """

    one_by_one = True

    families: tuple[TaskFamily, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    decades: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        names: tuple[str, ...] = FAMILIES,
        decades: float = 0.0,
        data_dir: str | Path | None = None,
        families: tuple[TaskFamily, ...] = (),
    ):
        if not (names or families):
            raise SettingsError("names", names, "the names of one or more families")
        if not decades >= 0:
            raise SettingsError("decades", decades, "a number of at least 0")
        made = families or tuple(_make(name, data_dir) for name in names)
        self.families = tuple(Rescaled(each, decades) if decades else each for each in made)
        self.names, self.decades = names, decades

    def split(self, part: Split) -> "Mixture":
        return Mixture(families=tuple(family.split(part) for family in self.families))

    def sample(self, *, key: PRNGKeyArray) -> tuple[PyTree, ...]:
        return tuple(
            family.sample(key=each)
            for family, each in zip(self.families, self._keys(key), strict=True)
        )

    def init(self, problem: tuple[PyTree, ...], *, key: PRNGKeyArray) -> tuple[PyTree, ...]:
        return self._each("init", problem, key=key)

    def loss(
        self, params: tuple[PyTree, ...], problem: tuple[PyTree, ...], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return jnp.mean(jnp.stack(self._each("loss", params, problem, key=key)))

    def meta_loss(
        self, params: tuple[PyTree, ...], problem: tuple[PyTree, ...], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return jnp.mean(jnp.stack(self._each("meta_loss", params, problem, key=key)))

    def _each(self, method: str, *arguments: tuple[Any, ...], key: PRNGKeyArray) -> tuple[Any, ...]:
        rows = zip(self.families, self._keys(key), *arguments, strict=True)
        return tuple(getattr(family, method)(*row, key=each) for family, each, *row in rows)

    def _keys(self, key: PRNGKeyArray) -> Key[Array, " families"]:
        return jax.random.split(key, len(self.families))


def families_of(task: TaskFamily) -> tuple[TaskFamily, ...]:
    """The families of a `Mixture`, or any other family by itself."""
    return task.families if isinstance(task, Mixture) else (task,)


def _make(name: str, data_dir: str | Path | None) -> TaskFamily:
    make = find("task family", name)
    takes = "data_dir" in inspect.signature(make).parameters
    return make(data_dir=data_dir) if takes else make()
