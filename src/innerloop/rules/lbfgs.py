"""L-BFGS with one evaluation a step."""

from typing import Annotated, Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from ..registry import register
from ..runtime.settings import Range, check_value
from .quasi_newton import QuasiNewtonRule


@register("l-bfgs")
@final
class LBFGSRule(QuasiNewtonRule):
    """Limited-memory BFGS: the curvature of the last steps alone, for any number of coordinates.

    Args:
        rate: The length of the first step.
        memory: How many steps it remembers, from 1 to 1000.
        power: How far coordinates are scaled by the changes Δg of their gradients, from 0 to 1.
            The first model of a coordinate's curvature is proportional to (Σ Δg²)^power. A
            number, or a float array [] so that it can be tuned.

    Raises:
        SettingsError: A setting is out of its range.

    Example:
        >>> import innerloop, jax.numpy as jnp
        >>> rule = innerloop.LBFGSRule(0.5)
        >>> grads = jnp.array([3.0, 4.0])
        >>> rule.update(grads, rule.init(grads), grads, value=jnp.ones(()))[0].tolist()
        [-0.30000001192092896, -0.4000000059604645]

    References:
        Nocedal & Wright, "Numerical optimization" (2006), Theorem 7.4 and equation (7.24);
        Gilbert & Lemaréchal, "Some numerical experiments with variable-storage quasi-Newton
        algorithms" (1989), for a diagonal that is learned on the way.
    """

    rate: Float[Array, ""]
    memory: int = eqx.field(static=True)
    power: Float[Array, ""]

    def __init__(
        self,
        rate: float | Float[Array, ""] = 0.1,
        memory: int = 7,
        power: float | Float[Array, ""] = 0.0,
    ):
        check_value("memory", memory, Annotated[int, Range(at_least=1, at_most=1000)])
        if not isinstance(power, jax.Array):
            check_value("power", power, Annotated[float, Range(at_least=0, at_most=1)])
        self.rate = jnp.asarray(rate, jnp.float32)
        self.power = jnp.asarray(power, jnp.float32)
        self.memory = memory

    def to_settings(self) -> dict[str, Any]:
        """How many steps it remembers."""
        return {"memory": self.memory}

    def first_length(self) -> Float[Array, ""]:
        return self.rate

    def init_memory(self, size: int) -> tuple[Array, Array, Array]:
        """Steps and changes of the gradient, the newest last; and the sum of squared gradients."""
        return jnp.zeros((self.memory, size)), jnp.zeros((self.memory, size)), jnp.zeros(size)

    def remember(
        self, memory: tuple[Array, Array, Array], step: Array, change: Array
    ) -> tuple[Array, Array, Array]:
        steps, changes, squares = memory
        steps = jnp.concatenate([steps[1:], step[None]])
        return steps, jnp.concatenate([changes[1:], change[None]]), squares + change**2

    def direction(
        self, memory: tuple[Array, Array, Array], gradient: Array
    ) -> Float[Array, " coordinates"]:
        steps, changes, squares = memory
        products = steps @ changes.T
        curved = jnp.diagonal(products)
        # Where the newest is 0 nothing is known, and no direction is suggested.
        scale = (squares / (jnp.mean(squares) + 1e-30) + 1e-6) ** -self.power
        scale = scale * curved[-1] / (changes[-1] @ (scale * changes[-1]) + 1e-30)
        # The compact form: a few products of matrices in place of a loop over the memory.
        upper = jnp.triu(products) + jnp.diag(jnp.where(curved > 0, 0.0, 1.0))
        scaled = changes * scale
        first = solve_triangular(upper, steps @ gradient)
        both = curved * first + (scaled @ changes.T) @ first - scaled @ gradient
        second = solve_triangular(upper, both, trans=1)
        return first @ scaled - second @ steps - scale * gradient
