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

    The parameters are a dictionary; `rules` has a rule for each of its keys. So are the two
    optimizers of Andrychowicz et al. (2016, Section 3.3) expressed, one LSTM for
    convolutional parameters and one for dense ones: {"conv": …, "dense": …}. All are trained
    together. Raises `InnerloopError` for parameters that are no dictionary with those keys.
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
