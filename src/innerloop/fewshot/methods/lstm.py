"""The optimizer of Andrychowicz et al. (2016) in few-shot learning."""

import dataclasses
from typing import Any, ClassVar, final

from jaxtyping import PRNGKeyArray

from ...registry import register
from ...rules import LSTMRule, Rule
from ...runtime.settings import Count
from ..backbones import Params
from ..gradient import GradientMetaLearner, GradientSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMSettings(GradientSettings):
    """The settings of the LSTM optimizer from a learned initialisation."""

    hidden: Count = 20
    """Units of each of the two LSTM layers."""


@register("lstm")
@final
class LSTMLearner(GradientMetaLearner):
    """The LSTM optimizer from a learned initialisation.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An `LSTMLearner.Settings`: `GradientSettings`, and hidden; None for the defaults.
        key: Draws the initialisation and the LSTM's weights.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> settings = fewshot.LSTMLearner.Settings(hidden=4)
        >>> fewshot.LSTMLearner(shape, backbone, settings, key=jax.random.key(0)).rule.hidden
        4

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), equation (3).
    """

    Settings: ClassVar[type[Any]] = LSTMSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return LSTMRule(key=key, hidden=self.settings.hidden, output_scale=0.1)
