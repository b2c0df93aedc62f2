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

    θ′ = θ − α ⊙ ∇L(θ) on the support set; see `innerloop.MetaSGDRule`.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `MetaSGD.Settings`: `GradientSettings`, and rate; None for the defaults.
        key: Draws the initialisation.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.MetaSGD(shape, backbone, key=jax.random.key(0))
        >>> learner.rule.rates["head"]["bias"].shape
        (2,)

    References:
        Li et al., "Meta-SGD: learning to learn quickly for few-shot learning" (2017,
        arXiv:1707.09835), equation (3).
    """

    Settings: ClassVar[type[Any]] = MetaSGDSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return MetaSGDRule(params, self.settings.rate)
