"""The LSTM whose cells share global averages, for small problems."""

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import LSTMGACRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._network import by_windows


@register("lstm-gac")
class LSTMGAC(Candidate):
    """The LSTM whose cells share global averages, for small problems."""

    def suits(self, look: Look) -> float:
        return 0.5 if look.coordinates <= 100 and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        return LSTMGACRule(key=scene.key, hidden=10)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_windows(scene, second_order=True)
