"""Random quadratics, the first experiment of Andrychowicz et al. (2016)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..errors import InnerloopError
from ..registry import register
from ._base import TaskFamily


class QuadraticProblem(eqx.Module):
    """One f(θ) = ‖Wθ − y‖²."""

    w: Float[Array, "dimension dimension"]
    y: Float[Array, " dimension"]


@register("quadratic")
@final
class Quadratic(TaskFamily):
    """f(θ) = ‖Wθ − y‖² with W, y and θ₀ iid standard Gaussian, a new f each time.

    Parameters are one float32 array of shape [dimension].

    Args:
        dimension: Coordinates of θ, 1 or more.

    Raises:
        InnerloopError: `dimension` is not positive.

    Example:
        >>> import innerloop
        >>> import jax
        >>> task, key = innerloop.Quadratic(dimension=3), jax.random.key(0)
        >>> task.init(task.sample(key=key), key=key).shape
        (3,)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Section 3.1.
    """

    dimension: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        if self.dimension < 1:
            raise InnerloopError(f"dimension is {self.dimension}; it must be at least 1.")

    def sample(self, *, key: PRNGKeyArray) -> QuadraticProblem:
        w_key, y_key = jax.random.split(key)
        w = jax.random.normal(w_key, (self.dimension, self.dimension))
        return QuadraticProblem(w, jax.random.normal(y_key, (self.dimension,)))

    def init(self, problem: QuadraticProblem, *, key: PRNGKeyArray) -> Float[Array, " dimension"]:
        return jax.random.normal(key, (self.dimension,))

    def loss(
        self,
        params: Float[Array, " dimension"],
        problem: QuadraticProblem,
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        return jnp.sum((problem.w @ params - problem.y) ** 2)
