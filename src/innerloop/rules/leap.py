"""A rule whose first steps go to where a network expects the solution; another rule goes on."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from ..registry import register
from ..runtime.settings import Count, check_value
from ._base import Rule
from ._flat import ravel
from ._values import decode, encode
from ._visits import VisitingRule

_LARGEST = 5.0  # A gradient, in units of the first ones.
_FINE = 1e3  # Gradients a thousand times smaller than the first ones still differ.


@register("leap")
@final
class LeapRule(VisitingRule):
    """θ_{k+1} = start + spread · net_k(∇_0, …, ∇_k) for the first steps k; another rule goes on.

    The problems of a family have much in common, and a gradient at a known place says which of
    them is at hand. The network learns what solution to expect. Each leap looks at the gradients
    at the places so far, so that a later one mends an earlier one. The other rule begins at the
    place with the lowest loss, the run's own start among them, where it is told the losses. It is
    for parameters of one structure.

    A leap costs a gradient, like any other step. The network has a linear path, which is all that
    a family of quadratics with one Hessian needs. After the leaps it costs little, unless the
    rule runs under `jax.vmap`, which computes both sides of a condition.

    Args:
        rule: The rule that makes all further steps.
        params: Parameters of the structure that the rule is for: what the leaps begin as.
        key: Draws the network's first weights.
        leaps: How many steps are leaps, 1 or more.
        hidden: Units of each of the two hidden layers.
        slopes: float [coordinates], a usual size of each coordinate's first gradient; None for 1.
        spread: float [coordinates], a usual distance of the solution from `params`; None for 1.

    Raises:
        SettingsError: `leaps` or `hidden` is not a whole number of at least 1.

    Example:
        >>> import innerloop, jax, jax.numpy as jnp, optax
        >>> sgd = innerloop.OptaxRule(optax.sgd, 0.1)
        >>> rule = innerloop.LeapRule(sgd, jnp.ones(2), key=jax.random.key(0))
        >>> params = jnp.zeros(2)
        >>> rule.update(params, rule.init(params), params)[0].tolist()
        [1.0, 1.0]

    References:
        Amos, "Tutorial on amortized optimization" (2023, arXiv:2202.00665), Section 2: a model
        that predicts solutions, trained by the objective itself.
    """

    start: Float[Array, " coordinates"]
    slopes: Float[Array, " coordinates"]
    spread: Float[Array, " coordinates"]
    first_weight: Float[Array, "inputs hidden"]
    first_bias: Float[Array, "leaps hidden"]
    second_weight: Float[Array, "hidden hidden"]
    output_weight: Float[Array, "twice_hidden coordinates"]
    leaps: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)

    def __init__(
        self,
        rule: Rule,
        params: PyTree,
        *,
        key: PRNGKeyArray,
        leaps: Count = 4,
        hidden: Count = 64,
        slopes: Float[Array, " coordinates"] | None = None,
        spread: Float[Array, " coordinates"] | None = None,
    ):
        check_value("leaps", leaps, Count)
        check_value("hidden", hidden, Count)
        self.rule, self.leaps, self.hidden = rule, leaps, hidden
        self.start = ravel(params, jnp.float32)
        size = self.start.size
        self.slopes = jnp.ones(size) if slopes is None else slopes
        self.spread = jnp.ones(size) if spread is None else spread
        first_key, second_key = jax.random.split(key)
        # Most of the inputs are 0 at the first leaps.
        scale = 1 / jnp.sqrt(max(1, 2 * size))
        self.first_weight = scale * jax.random.normal(first_key, (leaps * 2 * size, hidden))
        self.first_bias = jnp.zeros((leaps, hidden))
        self.second_weight = jax.random.normal(second_key, (hidden, hidden)) / jnp.sqrt(hidden)
        self.output_weight = jnp.zeros((2 * hidden, size))

    def to_settings(self) -> dict[str, Any]:
        """The other rule and the sizes."""
        params = encode(self.start, "A LeapRule cannot be saved: its start")
        rule = encode(self.rule, "its rule")
        return {"rule": rule, "params": params, "leaps": self.leaps, "hidden": self.hidden}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: Any) -> "LeapRule":
        """An untrained rule of these sizes."""
        given = dict(settings)
        rule, params = decode(given.pop("rule")), decode(given.pop("params"))
        return cls(rule, params, key=key, **given)

    @property
    def visits(self) -> int:
        return self.leaps

    @property
    def features(self) -> int:
        return 2 * self.start.size

    @property
    def coordinates(self) -> int:
        return self.start.size

    def look(self, gradient: Float[Array, " coordinates"]) -> Float[Array, " features"]:
        """The gradient in units of the first ones, as it is, and with what is small made large."""
        units = jax.lax.stop_gradient(self.slopes)
        sizes = jnp.nan_to_num(jnp.clip(gradient / units, -_LARGEST, _LARGEST))
        return jnp.concatenate([sizes, jnp.arcsinh(_FINE * sizes) / jnp.arcsinh(_FINE)])

    def place(
        self, seen: Float[Array, "leaps features"], now: Bool[Array, " leaps"]
    ) -> Float[Array, " coordinates"]:
        """Where the solution is expected."""
        sums = seen.ravel() @ self.first_weight + now.astype(jnp.float32) @ self.first_bias
        units = jax.nn.gelu(jax.nn.gelu(sums) @ self.second_weight)
        out = jnp.concatenate([sums, units]) @ self.output_weight
        return self.start + jax.lax.stop_gradient(self.spread) * out
