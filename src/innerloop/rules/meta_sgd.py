"""Gradient descent with a learned rate for every parameter (Meta-SGD, Li et al. 2017)."""

from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..registry import register
from ._base import Rule


@register("meta-sgd")
@final
class MetaSGDRule(Rule):
    """θ_t = θ_{t−1} − α ⊙ ∇L, with a learned α of the parameters' own shapes.

    The update of Meta-SGD. A rate may become negative. The rule has no state, and is for
    parameters of the one structure that it was made for. In a file, that structure is of
    dictionaries, lists and tuples.

    Args:
        params: Parameters, or arrays of their structure and shapes.
        rate: Where every rate begins.

    Example:
        >>> import jax.numpy as jnp, innerloop
        >>> rule = innerloop.MetaSGDRule({"w": jnp.zeros((2, 3))}, 0.5)
        >>> rule.rates["w"].shape
        (2, 3)

    References:
        Li et al., "Meta-SGD: Learning to learn quickly for few-shot learning" (2017,
        arXiv:1707.09835), equation 3.
    """

    rates: PyTree[Array]

    def __init__(self, params: PyTree, rate: float | Float[Array, ""] = 0.1):
        self.rates = jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), rate, float), params)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments that make a rule of this structure."""
        return {"params": self.rates}

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
