"""The LSTM with ten units, to first order."""

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import LSTMRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._network import by_windows


@register("lstm-1")
class LSTMFirstOrder(Candidate):
    """The LSTM with ten units, to first order."""

    def suits(self, look: Look) -> float:
        return 1.0

    def rule(self, scene: Scene) -> Rule:
        return LSTMRule(key=scene.key, hidden=10)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_windows(scene, second_order=False)
