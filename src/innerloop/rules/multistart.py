"""A rule that tries several places first; another rule goes on from the best."""

from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..errors import SettingsError
from ..registry import register
from ._base import Rule
from ._values import decode, encode
from ._visits import VisitingRule


@register("multistart")
@final
class MultistartRule(VisitingRule):
    """θ_1 … θ_K are learned places to begin at; another rule goes on from the best of them.

    A problem with several valleys ends well or badly by where it begins. The other rule begins at
    the place with the lowest loss, the run's own start among them, where it is told the losses,
    and at the last place elsewhere. It is for parameters of one structure.

    Args:
        rule: The rule that makes all further steps.
        places: float32 [K, coordinates], K at least 1: parameters, raveled as
            `jax.flatten_util.ravel_pytree` does it.

    Raises:
        SettingsError: There is no place.

    Example:
        >>> import innerloop, jax.numpy as jnp, optax
        >>> sgd = innerloop.OptaxRule(optax.sgd, 0.1)
        >>> rule = innerloop.MultistartRule(sgd, jnp.asarray([[1.0, 1.0], [2.0, 2.0]]))
        >>> params = jnp.zeros(2)
        >>> rule.update(params, rule.init(params), params)[0].tolist()
        [1.0, 1.0]

    References:
        Martí, "Multi-start methods" (2003), in: Handbook of Metaheuristics.
    """

    places: Float[Array, "places coordinates"]

    def __init__(self, rule: Rule, places: Float[Array, "places coordinates"]):
        if not len(places):
            raise SettingsError("places", jnp.shape(places), "at least one row")
        self.rule, self.places = rule, jnp.asarray(places, jnp.float32)

    def to_settings(self) -> dict[str, Any]:
        """The other rule, and the shape of the places."""
        places = encode(self.places, "A MultistartRule cannot be saved: its places")
        return {"rule": encode(self.rule, "its rule"), "places": places}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: Any) -> "MultistartRule":
        """A rule with zeros for its places."""
        return cls(decode(settings["rule"]), decode(settings["places"]))

    @property
    def visits(self) -> int:
        return self.places.shape[0]

    @property
    def features(self) -> int:
        return 0

    @property
    def coordinates(self) -> int:
        return self.places.shape[1]

    def look(self, gradient: Float[Array, " coordinates"]) -> Float[Array, " features"]:
        return jnp.zeros(0)

    def place(
        self, seen: Float[Array, "visits features"], now: Bool[Array, " visits"]
    ) -> Float[Array, " coordinates"]:
        return now.astype(jnp.float32) @ self.places
