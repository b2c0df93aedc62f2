"""Gradient descent with a learned rate for every parameter (Meta-SGD, Li et al. 2017)."""

from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule


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
        return {"shapes": _shapes(self.rates)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: PRNGKeyArray) -> "MetaSGDRule":
        """A rule for parameters of that structure."""
        return cls(_zeros(settings["shapes"]))

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


def _shapes(tree: PyTree) -> Any:
    """A tree of dictionaries and lists as JSON holds it; a leaf is {"shape": [...]}."""
    if isinstance(tree, dict) and all(isinstance(name, str) for name in tree):
        return {"dict": {name: _shapes(each) for name, each in tree.items()}}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [_shapes(each) for each in tree]}
    if isinstance(tree, jax.Array):
        return {"shape": list(tree.shape)}
    raise InnerloopError(
        f"A MetaSGDRule can be saved for parameters in dictionaries, lists and tuples; these hold "
        f"a {type(tree).__name__}."
    )


def _zeros(shapes: Any) -> PyTree:
    ((kind, inside),) = shapes.items()
    if kind == "shape":
        return jnp.zeros([int(size) for size in inside])
    if kind == "dict":
        return {name: _zeros(each) for name, each in inside.items()}
    parts = [_zeros(each) for each in inside]
    return tuple(parts) if kind == "tuple" else parts
