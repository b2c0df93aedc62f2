"""Hand-designed optimizers as rules, so that they run in the same inner loop."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..registry import register
from ._base import Rule


@register("optax")
@final
class OptaxRule(Rule):
    """An Optax optimizer as a rule: its learning rate is the rule's only array leaf.

    Because the rate is a leaf, a whole grid of rates is one `jax.vmap`. `make` is called
    inside the traced function, since an Optax transformation is closures and no pytree.
    """

    learning_rate: Float[Array, ""]
    make: Callable[..., optax.GradientTransformation] = eqx.field(static=True)

    def __init__(self, make: Callable[..., optax.GradientTransformation], learning_rate: Any):
        """`make(learning_rate)` builds the transformation: `optax.adam`, say."""
        self.make = make
        self.learning_rate = jnp.asarray(learning_rate, float)

    def init(self, params: PyTree) -> PyTree:
        return self.make(self.learning_rate).init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        transformation = optax.with_extra_args_support(self.make(self.learning_rate))
        updates, state = transformation.update(grads, state, params, value=value, **extra)
        # A learning rate that is an array would turn half precision into single.
        return jax.tree.map(lambda u, g: u.astype(jnp.result_type(g)), updates, grads), state
