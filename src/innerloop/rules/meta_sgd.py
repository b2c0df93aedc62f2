"""Gradient descent with a learned rate for every parameter (Meta-SGD, Li et al. 2017)."""

from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..registry import register
from ._base import Rule
from ._values import encode


@register("meta-sgd")
@final
class MetaSGDRule(Rule):
    """θ_t = θ_{t−1} − α ⊙ ∇L, with a learned α of the parameters' own shapes.

    A rate may become negative. The rule has no state, and is for parameters of the one structure
    that it was made for.

    Args:
        params: Parameters of that structure: any pytree of arrays. Only their shapes matter.
        rate: What all rates begin at.

    Example:
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> params = {"w": jnp.zeros(2)}
        >>> rule = innerloop.MetaSGDRule(params, rate=0.5)
        >>> updates, _ = rule.update({"w": jnp.ones(2)}, rule.init(params))
        >>> updates["w"].tolist()
        [-0.5, -0.5]

    References:
        Li et al., "Meta-SGD: learning to learn quickly for few-shot learning" (2017,
        arXiv:1707.09835), equation (3).
    """

    rates: PyTree[Array]

    def __init__(self, params: PyTree, rate: float | Float[Array, ""] = 0.1):
        self.rates = jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), rate, jnp.float32), params)

    def to_settings(self) -> dict[str, Any]:
        """The structure of the parameters, with shapes in the place of arrays."""
        return {"params": encode(self.rates, "A MetaSGDRule cannot be saved: its rates")}

    def init(self, params: PyTree) -> tuple[()]:
        return ()

    def update(
        self,
        grads: PyTree,
        state: tuple[()],
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, tuple[()]]:
        def step(rate: Array, gradient: Array) -> Array:
            return (-rate * gradient).astype(jnp.result_type(gradient))

        return jax.tree.map(step, self.rates, grads), state
