"""MAML (Finn et al. 2017)."""

import dataclasses
from typing import Any, ClassVar, final

import optax
from jaxtyping import PRNGKeyArray

from ...registry import register
from ...rules import OptaxRule, Rule
from ...runtime.settings import Positive
from ..backbones import Params
from ..gradient import GradientMetaLearner, GradientSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class MAMLSettings(GradientSettings):
    """The settings of MAML."""

    second_order: bool = True
    rate: Positive = 0.1
    """The learning rate of the inner steps."""
    learn_rate: bool = False
    """Whether the rate is learned too."""


@register("maml")
@final
class MAML(GradientMetaLearner):
    """Gradient descent of a fixed rate from a learned initialisation.

    References:
        Finn, Abbeel & Levine, "Model-agnostic meta-learning for fast adaptation of deep
        networks" (2017, arXiv:1703.03400).
    """

    Settings: ClassVar[type[Any]] = MAMLSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return OptaxRule(optax.sgd, self.settings.rate)

    @property
    def learns_rule(self) -> bool:
        return self.settings.learn_rate
