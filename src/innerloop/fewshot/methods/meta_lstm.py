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

    steps: Count | None = None
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

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017).
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
