"""Several rules, each for its own part of the parameters."""

from typing import Any, final

import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule


def parts_of(rule: Rule) -> list[Rule]:
    """The rules of a `MultiRule`, or any other rule by itself."""
    return list(rule.rules.values()) if isinstance(rule, MultiRule) else [rule]


@register("multi")
@final
class MultiRule(Rule):
    """One rule for each top-level part of the parameters: `optax.multi_transform` as a rule.

    All parts are trained together.

    Args:
        rules: A rule for each key of the parameters, which are a dictionary. {"conv": …, "dense":
            …} has one rule for convolutional parameters and one for dense ones, as in the paper.

    Raises:
        InnerloopError: In `init` and `update`: the parameters are no dictionary with those keys.

    Example:
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> import optax
        >>> parts = {"conv": innerloop.OptaxRule(optax.sgd, 1.0)}
        >>> parts["dense"] = innerloop.OptaxRule(optax.sgd, 0.5)
        >>> rule = innerloop.MultiRule(parts)
        >>> grads = {"conv": jnp.ones(1), "dense": jnp.ones(1)}
        >>> updates, _ = rule.update(grads, rule.init(grads))
        >>> float(updates["conv"][0]), float(updates["dense"][0])
        (-1.0, -0.5)

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Section 3.3: two optimizers, each with its own weights.
    """

    rules: dict[str, Rule]

    def __init__(self, rules: dict[str, Rule]):
        self.rules = dict(rules)

    def init(self, params: PyTree) -> PyTree:
        return self._optax().init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        return self._optax().update(grads, state, params, value=value, **extra)

    def to_settings(self) -> dict[str, Any]:
        """The description of each part."""
        from .files import describe_rule

        return {name: describe_rule(part) for name, part in self.rules.items()}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: PRNGKeyArray) -> "MultiRule":
        """A rule of parts, each from its description."""
        from .files import make_rule

        if any(part.get("rule") == "multi" for part in settings.values()):
            raise InnerloopError("A part of a rule of parts cannot have parts itself.")
        return cls({name: make_rule(part) for name, part in settings.items()})

    def _optax(self) -> optax.GradientTransformationExtraArgs:
        transformations: dict[Any, Any] = {
            name: rule.as_optax() for name, rule in self.rules.items()
        }
        return optax.multi_transform(transformations, self._labels)

    def _labels(self, params: PyTree) -> PyTree:
        if not isinstance(params, dict) or set(params) != set(self.rules):
            found = f"the keys {', '.join(params)}" if isinstance(params, dict) else "none"
            raise InnerloopError(
                f"This rule is for parameters in a dictionary with the keys "
                f"{', '.join(self.rules)}; these have {found}."
            )
        return {
            name: jax.tree.map(lambda _, name=name: name, part) for name, part in params.items()
        }
