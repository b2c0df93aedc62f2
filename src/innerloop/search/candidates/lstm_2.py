"""The LSTM with ten units, to second order."""

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import LSTMRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._network import by_windows


@register("lstm-2")
class LSTMSecondOrder(Candidate):
    """The LSTM with ten units, to second order."""

    def suits(self, look: Look) -> float:
        return 0.0 if look.coordinates > 2000 else 1.5

    def rule(self, scene: Scene) -> Rule:
        return LSTMRule(key=scene.key, hidden=10)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_windows(scene, second_order=True)
