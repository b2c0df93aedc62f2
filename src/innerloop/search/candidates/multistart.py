"""Several learned places to begin at, and a quasi-Newton rule that goes on from the best."""

from ...registry import register
from ...rules import LBFGSRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._places import at_best_places, can_start_often
from ._quasi_newton import DENSE, common_curvature

_LARGEST = 20_000
"""Coordinates up to which places are small enough to keep."""


@register("multistart-bfgs")
class MultistartBFGS(Candidate):
    """The best of a few places, and BFGS with a learned first inverse Hessian."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 10.5 if look.coordinates <= DENSE and can_start_often(look) else 0.0

    def rule(self, scene: Scene) -> Rule:
        return at_best_places(scene, common_curvature(scene))


@register("multistart-l-bfgs")
class MultistartLBFGS(Candidate):
    """The best of a few places, and L-BFGS that scales coordinates."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 9.8 if look.coordinates <= _LARGEST and can_start_often(look) else 0.0

    def rule(self, scene: Scene) -> Rule:
        return at_best_places(scene, scene.rules.get("scaled-l-bfgs") or LBFGSRule())
