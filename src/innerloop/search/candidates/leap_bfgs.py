"""Learned leaps, and BFGS that begins with a learned curvature."""

import equinox as eqx
import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule
from .._base import Candidate, Scene
from ..look import Look
from ._leaps import NEARER, by_leaps, leap_optimizer, leaping
from ._quasi_newton import DENSE, common_curvature


@register("leap-bfgs")
class LeapBFGS(Candidate):
    """Leaps to where a network expects the solution, and BFGS with a learned inverse Hessian."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 11.0 if look.coordinates <= DENSE and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        rule = common_curvature(scene)
        return leaping(scene, eqx.tree_at(lambda each: each.rate, rule, NEARER * rule.rate))

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_leaps(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return leap_optimizer(scene.rate)
