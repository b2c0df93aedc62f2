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

    θ′ = θ − α ∇L(θ) on the support set, for each inner step.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `MAML.Settings`: `GradientSettings`, rate and learn_rate; None for the defaults.
        key: Draws the initialisation.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> settings = fewshot.MAML.Settings(steps=2, rate=0.4)
        >>> fewshot.MAML(shape, backbone, settings, key=jax.random.key(0)).inner_steps
        2

    References:
        Finn, Abbeel & Levine, "Model-agnostic meta-learning for fast adaptation of deep
        networks" (2017, arXiv:1703.03400), Section 2.2 and equation (1).
    """

    Settings: ClassVar[type[Any]] = MAMLSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return OptaxRule(optax.sgd, self.settings.rate)

    @property
    def learns_rule(self) -> bool:
        return self.settings.learn_rate
