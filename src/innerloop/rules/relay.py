"""A rule that hands over to another one after some steps."""

from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..registry import register
from ._base import Rule
from ._values import decode, encode


class RelayState(NamedTuple):
    """What a `RelayRule` carries."""

    first: PyTree
    then: PyTree
    step: Float[Array, ""]


@register("relay")
@final
class RelayRule(Rule):
    """One rule makes the first steps, and another all that come after.

    A first-order rule with a large rate comes close soon and over small hills; a quasi-Newton rule
    then converges where the first one would shrink its steps for long.

    Args:
        first: The rule of the first steps.
        then: The rule of the steps after.
        steps: How many steps the first rule makes, 0 or more; a number or a float array [], so
            that it can be tuned.

    Example:
        >>> import innerloop, jax.numpy as jnp, optax
        >>> near = innerloop.OptaxRule(optax.sgd, 1.0)
        >>> rule = innerloop.RelayRule(near, innerloop.BFGSRule(0.5), steps=3)
        >>> rule.update(jnp.ones(2), rule.init(jnp.ones(2)), jnp.ones(2), value=jnp.ones(()))[0]
        Array([-1., -1.], dtype=float32)

    References:
        Le et al., "On optimization methods for deep learning" (2011), compares the two kinds that
        are joined here.
    """

    first: Rule
    then: Rule
    steps: Float[Array, ""]

    def __init__(self, first: Rule, then: Rule, steps: float | Float[Array, ""]):
        self.first, self.then = first, then
        self.steps = jnp.asarray(steps, jnp.float32)

    def to_settings(self) -> dict[str, Any]:
        """Both rules."""
        return {"first": encode(self.first, "its first"), "then": encode(self.then, "its then")}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: Any) -> "RelayRule":
        """A rule of both, with no step of the first."""
        return cls(decode(settings["first"]), decode(settings["then"]), 0)

    def init(self, params: PyTree) -> RelayState:
        return RelayState(self.first.init(params), self.then.init(params), jnp.zeros(()))

    def update(
        self,
        grads: PyTree,
        state: RelayState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, RelayState]:
        def run() -> tuple[PyTree, RelayState]:
            updates, first = self.first.update(grads, state.first, params, **extra)
            return updates, RelayState(first, state.then, state.step + 1)

        def anchor() -> tuple[PyTree, RelayState]:
            updates, then = self.then.update(grads, state.then, params, **extra)
            return updates, RelayState(state.first, then, state.step)

        running = state.step < self.steps
        if isinstance(running, jax.core.Tracer):
            return jax.lax.cond(running, run, anchor)
        # Outside `jax.jit`, a condition would compile both functions anew at each step.
        return run() if running else anchor()
