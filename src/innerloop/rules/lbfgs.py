"""L-BFGS with one evaluation a step."""

from typing import Annotated, Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..registry import register
from ..runtime.settings import Count, Range, check_value
from .quasi_newton import QuasiNewtonRule


@register("l-bfgs")
@final
class LBFGSRule(QuasiNewtonRule):
    """Limited-memory BFGS: the curvature of the last steps alone, for any number of coordinates.

    Args:
        rate: The length of the first step.
        memory: How many steps it remembers, 1 or more.
        power: How far coordinates are scaled by their gradients' sizes, from 0 to 1: curvature is
            first taken to be as (mean g²)^power. With 1, features may have any scales.

    Raises:
        SettingsError: A setting is out of its range.

    Example:
        >>> import innerloop, jax.numpy as jnp
        >>> rule = innerloop.LBFGSRule(0.5)
        >>> grads = jnp.array([3.0, 4.0])
        >>> rule.update(grads, rule.init(grads), grads, value=jnp.ones(()))[0].tolist()
        [-0.30000001192092896, -0.4000000059604645]

    References:
        Nocedal & Wright, "Numerical optimization" (2006), Algorithm 7.4.
    """

    rate: Float[Array, ""]
    memory: int = eqx.field(static=True)
    power: float = eqx.field(static=True)

    def __init__(self, rate: float | Float[Array, ""] = 0.1, memory: int = 7, power: float = 0.0):
        check_value("memory", memory, Count)
        check_value("power", power, Annotated[float, Range(at_least=0, at_most=1)])
        self.rate = jnp.asarray(rate, jnp.float32)
        self.memory, self.power = memory, power

    def to_settings(self) -> dict[str, Any]:
        """How many steps it remembers, and the power."""
        return {"memory": self.memory, "power": self.power}

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
        curved = jnp.sum(steps * changes, axis=1)
        inverse = jnp.where(curved > 0, 1 / jnp.where(curved > 0, curved, 1.0), 0.0)
        way, parts = gradient, {}
        for i in reversed(range(self.memory)):
            parts[i] = inverse[i] * (steps[i] @ way)
            way = way - parts[i] * changes[i]
        scale = (squares / (jnp.mean(squares) + 1e-30) + 1e-6) ** -self.power
        # Nothing is known where the newest is 0: then no direction is suggested.
        way = scale * way * curved[-1] / (changes[-1] @ (scale * changes[-1]) + 1e-30)
        for i in range(self.memory):
            way = way + steps[i] * (parts[i] - inverse[i] * (changes[i] @ way))
        return -way
