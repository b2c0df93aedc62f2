"""L-BFGS that scales coordinates by the changes of their gradients."""

from ...registry import register
from ...rules import LBFGSRule, Rule
from .._base import Candidate, Scene
from ..look import Look


@register("scaled-l-bfgs")
class ScaledLBFGS(Candidate):
    """L-BFGS for coordinates of different scales."""

    learns = "nothing"

    def suits(self, look: Look) -> float:
        return 0.0 if look.noisy else 6.5

    def rule(self, scene: Scene) -> Rule:
        return LBFGSRule(scene.rates.get("l-bfgs", 0.1), power=0.5)
