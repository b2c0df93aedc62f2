"""BFGS that begins with the curvature that the training problems have in common."""

from ...registry import register
from ...rules import Rule
from .._base import Candidate, Scene
from ..look import Look
from ._quasi_newton import DENSE, common_curvature


@register("curved-bfgs")
class CurvedBFGS(Candidate):
    """BFGS whose first inverse Hessian is learned from training problems."""

    def suits(self, look: Look) -> float:
        return 8.0 if look.coordinates <= DENSE and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        return common_curvature(scene)
