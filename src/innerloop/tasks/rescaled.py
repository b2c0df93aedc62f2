"""A family whose parameters have a random unit."""

from typing import Any, final

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import SettingsError
from ._base import Split, TaskFamily


class RescaledProblem(eqx.Module):
    """A problem of the family, and the unit of its parameters."""

    problem: PyTree
    scale: Float[Array, ""]


@final
class Rescaled(TaskFamily):
    """The problems of `family` with all parameters multiplied by one random scale.

    g(θ) = f(θ / s), with log₁₀ s uniform between −`decades` and `decades`, drawn for each problem.
    The losses are those of f, and the gradients are divided by s. A rule that is meta-trained on
    it learns steps whose size is relative to the parameters. It is the task augmentation of
    Metz et al. (2022, arXiv:2211.09760, Section 3) with the range of Moudgil et al. (2026,
    arXiv:2602.19142).

    `split("validation")` and `split("test")` give the family itself: a rule is judged on problems
    as they are posed.

    Args:
        family: The family of problems.
        decades: The largest absolute value of log₁₀ s; above 0.

    Raises:
        SettingsError: `decades` is not above 0.

    Example:
        >>> import jax
        >>> import innerloop
        >>> from innerloop.tasks.rescaled import Rescaled
        >>> family = Rescaled(innerloop.Quadratic(), decades=2.0)
        >>> problem = family.sample(key=jax.random.key(0))
        >>> bool(0.01 <= problem.scale <= 100)
        True
    """

    family: TaskFamily
    decades: float = eqx.field(static=True, default=3.0)

    def __check_init__(self):
        if not self.decades > 0:
            raise SettingsError("decades", self.decades, "a number above 0")

    @property
    def one_by_one(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.family.one_by_one

    def split(self, part: Split) -> TaskFamily:
        family = self.family.split(part)
        return Rescaled(family, self.decades) if part == "train" else family

    def sample(self, *, key: PRNGKeyArray) -> RescaledProblem:
        problem_key, scale_key = jax.random.split(key)
        exponent = jax.random.uniform(scale_key, minval=-self.decades, maxval=self.decades)
        return RescaledProblem(self.family.sample(key=problem_key), 10.0**exponent)

    def init(self, problem: RescaledProblem, *, key: PRNGKeyArray) -> PyTree:
        params = self.family.init(problem.problem, key=key)
        return jax.tree.map(lambda leaf: (leaf * problem.scale).astype(leaf.dtype), params)

    def loss(
        self, params: PyTree, problem: RescaledProblem, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self.family.loss(_posed(params, problem), problem.problem, key=key)

    def meta_loss(
        self, params: PyTree, problem: RescaledProblem, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self.family.meta_loss(_posed(params, problem), problem.problem, key=key)

    def held_out_loss(self, params: PyTree, problem: RescaledProblem, *, key: PRNGKeyArray) -> Any:
        return self.family.held_out_loss(_posed(params, problem), problem.problem, key=key)


def _posed(params: PyTree, problem: RescaledProblem) -> PyTree:
    """The parameters in the family's own unit."""
    return jax.tree.map(lambda leaf: (leaf / problem.scale).astype(leaf.dtype), params)
