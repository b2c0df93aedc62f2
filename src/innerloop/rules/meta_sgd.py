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

    The update of Meta-SGD (Li et al. 2017, arXiv:1707.09835, equation 3). A rate may become
    negative. It has no state, and is for parameters of the one structure that it was made for.
    """

    rates: PyTree[Array]

    def __init__(self, params: PyTree, rate: float | Float[Array, ""] = 0.1):
        """Rates that all begin at `rate`, in the structure and shapes of `params`."""
        self.rates = jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), rate, float), params)

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
