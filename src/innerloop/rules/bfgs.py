"""BFGS with one evaluation a step, and with a first model of the curvature that can be learned."""

from typing import Annotated, Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..registry import register
from ..runtime.settings import Range, check_value
from .quasi_newton import QuasiNewtonRule


@register("bfgs")
@final
class BFGSRule(QuasiNewtonRule):
    """Broyden, Fletcher, Goldfarb and Shanno's method, for some hundreds of coordinates.

    The inverse Hessian that it begins with is learned, for problems that have their curvature in
    common; or it is a multiple of the identity, which the first step gives.

    Args:
        rate: The length of the first step, where `size` is None.
        size: The number of coordinates, for a learned inverse Hessian; None for none.

    Raises:
        SettingsError: `size` is not from 1 to 4096.

    Example:
        >>> import innerloop, jax.numpy as jnp
        >>> rule = innerloop.BFGSRule(0.5)
        >>> grads = jnp.array([3.0, 4.0])
        >>> rule.update(grads, rule.init(grads), grads, value=jnp.ones(()))[0].tolist()
        [-0.30000001192092896, -0.4000000059604645]

    References:
        Nocedal & Wright, "Numerical optimization" (2006), equation (6.17).
    """

    rate: Float[Array, ""]
    inverse: Float[Array, "coordinates coordinates"] | None
    size: int | None = eqx.field(static=True)

    def __init__(self, rate: float | Float[Array, ""] = 0.1, size: int | None = None):
        if size is not None:
            check_value("size", size, Annotated[int, Range(at_least=1, at_most=4096)])
        self.rate = jnp.asarray(rate, jnp.float32)
        self.inverse = None if size is None else jnp.eye(size)
        self.size = size

    def to_settings(self) -> dict[str, Any]:
        """The number of coordinates of a learned inverse Hessian."""
        return {"size": self.size}

    def first_length(self) -> Float[Array, ""]:
        return self.rate

    def trusts_first(self) -> bool:
        return self.inverse is not None

    def init_memory(self, size: int) -> Float[Array, "coordinates coordinates"]:
        # Zeros say that nothing is known.
        return jnp.zeros((size, size)) if self.inverse is None else self.inverse

    def remember(self, memory: Array, step: Array, change: Array) -> Array:
        curved = step @ change
        if self.inverse is None:
            # As if it had begun with a multiple of the identity that suits the first step.
            scaled = curved / (change @ change + 1e-30) * jnp.eye(step.size)
            memory = jnp.where(memory[0, 0] == 0, scaled, memory)
        curved = jnp.where(curved > 0, curved, 1.0)
        turned = memory @ change
        both = jnp.outer(step, turned)
        grown = (1 + change @ turned / curved) * jnp.outer(step, step)
        return memory + (grown - both - both.T) / curved

    def direction(self, memory: Array, gradient: Array) -> Float[Array, " coordinates"]:
        return -memory @ gradient
