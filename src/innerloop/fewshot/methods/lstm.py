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

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474).
    """

    Settings: ClassVar[type[Any]] = LSTMSettings

    def make_rule(self, params: Params, *, key: PRNGKeyArray) -> Rule:
        return LSTMRule(key=key, hidden=self.settings.hidden, output_scale=0.1)
