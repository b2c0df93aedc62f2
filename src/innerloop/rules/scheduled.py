"""A hand-designed optimizer whose rates are learned: per step, and per array or coordinate."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..errors import SettingsError
from ..registry import register
from ..runtime.settings import Count, Positive, check_value
from ._base import Rule
from ._flat import check_params
from ._values import decode, encode

BASES = ("adam", "nesterov")
KNOTS = 9
_TINY = 1e-12


@register("scheduled")
@final
class ScheduledRule(Rule):
    """Adam, or Nesterov momentum, at a learned rate α_t s_i for step t and coordinate i.

    log α_t is a line through nine learned knots over the horizon, and stays at the last one
    after it. s is one learned number for each array of parameters, or for each coordinate. The
    decays of the averages are learned too. A step costs what a step of the base costs.

    Args:
        params: Parameters of the structure that the rule is for: any pytree of arrays. Only their
            shapes matter.
        base: "adam" or "nesterov".
        horizon: The steps over which the knots are spread.
        rate: What all rates begin at, positive.
        per: "array" or "coordinate": what has an s of its own.

    Raises:
        SettingsError: A setting is out of its range.

    Example:
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> rule = innerloop.ScheduledRule({"w": jnp.zeros(2)}, rate=0.5)
        >>> params = {"w": jnp.ones(2)}
        >>> updates, _ = rule.update(params, rule.init(params))
        >>> updates["w"].round(3).tolist()
        [-0.5, -0.5]

    References:
        Li et al., "Meta-SGD: learning to learn quickly for few-shot learning" (2017,
        arXiv:1707.09835), for rates of coordinates; Maclaurin, Duvenaud & Adams, "Gradient-based
        hyperparameter optimization through reversible learning" (2015, arXiv:1502.03492), for
        rates of steps.
    """

    log_rates: Float[Array, " knots"]
    log_scales: tuple[Array, ...]
    logit_decays: Float[Array, " 2"]
    base: str = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    per: str = eqx.field(static=True)

    def __init__(
        self,
        params: PyTree,
        base: str = "adam",
        horizon: int = 100,
        rate: float | Float[Array, ""] = 0.01,
        per: str = "array",
    ):
        check_value("horizon", horizon, Count)
        if not isinstance(rate, jax.Array):
            check_value("rate", rate, Positive)
        if base not in BASES:
            raise SettingsError("base", base, f"one of {', '.join(BASES)}")
        if per not in ("array", "coordinate"):
            raise SettingsError("per", per, "array or coordinate")
        self.base, self.horizon, self.per = base, horizon, per
        self.log_rates = jnp.full(KNOTS, jnp.log(jnp.asarray(rate, jnp.float32)))
        self.log_scales = tuple(
            jnp.zeros(jnp.shape(leaf) if per == "coordinate" else ())
            for leaf in jax.tree.leaves(params)
        )
        decays = (0.9, 0.999) if base == "adam" else (0.9, 0.5)
        self.logit_decays = jnp.asarray([math.log(decay / (1 - decay)) for decay in decays])

    def to_settings(self) -> dict[str, Any]:
        """The settings, with shapes in the place of arrays."""
        params = encode(self.log_scales, "A ScheduledRule cannot be saved: its scales")
        return {"params": params, "base": self.base, "horizon": self.horizon, "per": self.per}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: Any) -> "ScheduledRule":
        """An untrained rule for parameters of that structure."""
        given = dict(settings)
        return cls(decode(given.pop("params")), **given)

    def init(self, params: PyTree) -> PyTree:
        check_params(params)
        zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf, jnp.float32), params)
        squares = jax.tree.map(jnp.copy, zeros) if self.base == "adam" else ()
        return zeros, squares, jnp.zeros(())

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        momenta, squares, step = state
        rate, (slow, slower) = self.rate(step), jax.nn.sigmoid(self.logit_decays)
        step = step + 1

        def average(decay: Array, old: PyTree, new: PyTree) -> PyTree:
            return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)

        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), grads)
        if self.base == "nesterov":
            momenta = jax.tree.map(lambda old, new: slow * old + new, momenta, wide)
            ways = jax.tree.map(lambda m, g: g + slow * m, momenta, wide)
        else:
            momenta = average(slow, momenta, wide)
            squares = average(slower, squares, jax.tree.map(jnp.square, wide))
            first, second = 1 - slow**step, 1 - slower**step
            # Under the root, so that the derivative at 0 is finite: second order flows through.
            ways = jax.tree.map(
                lambda m, v: m / first / jnp.sqrt(v / second + _TINY**1.5), momenta, squares
            )
        scales = jax.tree.unflatten(jax.tree.structure(grads), self.log_scales)
        updates = jax.tree.map(
            lambda way, scale, leaf: (-rate * jnp.exp(scale) * way).astype(leaf.dtype),
            *(ways, scales, grads),
        )
        return updates, (momenta, squares, step)

    def rate(self, step: Float[Array, ""]) -> Float[Array, ""]:
        """α_t, without the scales.

        Args:
            step: t, from 0.
        """
        place = step / max(1, self.horizon - 1)
        return jnp.exp(jnp.interp(place, jnp.linspace(0.0, 1.0, KNOTS), self.log_rates))
