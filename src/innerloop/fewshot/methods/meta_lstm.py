"""The Meta-Learner LSTM (Ravi & Larochelle 2017)."""

import dataclasses
from typing import Any, ClassVar, Literal, final

import jax
from jaxtyping import PRNGKeyArray

from ...registry import register
from ...rules import MetaLSTMRule, MultiRule, Rule
from ...runtime.settings import Count
from ..backbones import Params
from ..gradient import GradientMetaLearner, GradientSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaLSTMSettings(GradientSettings):
    """The settings of the Meta-Learner LSTM."""

    steps: Count | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Inner steps; None for 12 in 1-shot episodes and 5 in others, as published."""
    hidden: Count = 20
    """Units of the LSTM that sees gradients and losses."""
    forget: Literal["learned", "one"] = "learned"
    """Whether the forget gate is learned, or 1."""
    gates: Literal["shared", "layerwise"] = "shared"
    """Whether all coordinates share the gates' weights, or each layer has its own."""
    rate: float | None = None
    """The input gate that training begins at; None for the published 0.007 to 0.018."""
    keep: float | None = None
    """The forget gate that training begins at; None for the published 0.982 to 0.993."""


@register("meta-lstm")
@final
class MetaLSTM(GradientMetaLearner):
    """The Meta-Learner LSTM: a learned initialisation, and gates that are a learned rule.

    θ_t = f_t ⊙ θ_{t−1} − i_t ⊙ ∇L_t on the support set; see `innerloop.MetaLSTMRule`.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `MetaLSTM.Settings`: `GradientSettings`, hidden, forget, gates, rate and keep;
            None for the defaults.
        key: Draws the initialisation and the rule's weights.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> fewshot.MetaLSTM(shape, backbone, key=jax.random.key(0)).inner_steps
        12

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017), equations (2) to
        (5) and Algorithm 1.
    """

    Settings: ClassVar[type[Any]] = MetaLSTMSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        settings = self.settings

        def one(key: PRNGKeyArray) -> MetaLSTMRule:
            return MetaLSTMRule(
                key=key,
                hidden=settings.hidden,
                forget=settings.forget,
                rate=settings.rate,
                keep=settings.keep,
            )

        if settings.gates == "shared":
            return one(key)
        keys = jax.random.split(key, len(params))
        return MultiRule({name: one(k) for name, k in zip(params, keys, strict=True)})

    @property
    def inner_steps(self) -> int:
        return self.settings.steps or (12 if self.shape.shot == 1 else 5)
