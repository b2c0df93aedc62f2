"""RNNprop with ten units, to second order."""

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import RNNpropRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._network import by_windows


@register("rnnprop-2")
class RNNpropSecondOrder(Candidate):
    """RNNprop with ten units, to second order."""

    def suits(self, look: Look) -> float:
        return 0.0 if look.coordinates > 2000 else 2.5

    def rule(self, scene: Scene) -> Rule:
        return RNNpropRule(key=scene.key, hidden=10, output_scale=3 * scene.rate)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_windows(scene, second_order=True)
