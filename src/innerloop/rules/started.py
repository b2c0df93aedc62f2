"""A rule that learns where to start: its first step leads to a learned initialisation."""

from typing import Any, final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..registry import register
from ._base import Rule
from ._values import decode, encode


@register("started")
@final
class StartedRule(Rule):
    """θ_1 is a learned initialisation, whatever θ_0 is; another rule goes on from there.

    The first step costs a gradient that nobody uses, and counts like any other. The rule thus
    stands wherever an optimizer stands, and needs no access to how parameters are made. It is for
    parameters of one structure.

    Args:
        rule: The rule that makes all further steps.
        start: The initialisation to begin with: a pytree of arrays like the parameters.

    Example:
        >>> import innerloop, jax.numpy as jnp, optax
        >>> rule = innerloop.StartedRule(innerloop.OptaxRule(optax.sgd, 0.1), jnp.ones(2))
        >>> params = jnp.zeros(2)
        >>> rule.update(params, rule.init(params), params)[0].tolist()
        [1.0, 1.0]

    References:
        Finn, Abbeel & Levine, "Model-agnostic meta-learning for fast adaptation of deep networks"
        (2017, arXiv:1703.03400), for a learned initialisation.
    """

    rule: Rule
    start: tuple[Array, ...]

    def __init__(self, rule: Rule, start: PyTree):
        self.rule = rule
        self.start = tuple(map(jnp.asarray, jax.tree.leaves(start)))

    def to_settings(self) -> dict[str, Any]:
        """The other rule, and the initialisation with shapes in the place of arrays."""
        start = encode(self.start, "A StartedRule cannot be saved: its start")
        return {"rule": encode(self.rule, "its rule"), "start": start}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: Any) -> "StartedRule":
        """A rule with zeros for its initialisation."""
        return cls(decode(settings["rule"]), decode(settings["start"]))

    def init(self, params: PyTree) -> PyTree:
        return self.rule.init(params), jnp.zeros((), jnp.int32)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        inner, step = state
        first = step == 0
        updates, after = self.rule.update(grads, inner, params, value=value, **extra)
        start = jax.tree.unflatten(jax.tree.structure(params), self.start)
        leap = jax.tree.map(lambda to, at: (to - at).astype(at.dtype), start, params)
        updates = optax.tree.where(first, leap, updates)
        # The other rule has not begun.
        return updates, (optax.tree.where(first, inner, after), step + 1)
