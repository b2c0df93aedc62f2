"""Meta-SGD (Li et al. 2017)."""

import dataclasses
from typing import Any, ClassVar, final

from jaxtyping import PRNGKeyArray

from ...registry import register
from ...rules import MetaSGDRule, Rule
from ...runtime.settings import Count, Positive
from ..backbones import Params
from ..gradient import GradientMetaLearner, GradientSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaSGDSettings(GradientSettings):
    """The settings of Meta-SGD."""

    steps: Count = 1
    second_order: bool = True
    rate: Positive = 0.1
    """The rate that all parameters begin with."""


@register("meta-sgd")
@final
class MetaSGD(GradientMetaLearner):
    """A learned initialisation and a learned rate for every parameter.

    References:
        Li et al., "Meta-SGD: learning to learn quickly for few-shot learning" (2017,
        arXiv:1707.09835).
    """

    Settings: ClassVar[type[Any]] = MetaSGDSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return MetaSGDRule(params, self.settings.rate)
