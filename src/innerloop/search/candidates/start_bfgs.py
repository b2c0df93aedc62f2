"""A learned initialisation, and BFGS that begins with a learned curvature."""

import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule, StartedRule
from .._base import Candidate, Scene
from ..look import Look
from ._quasi_newton import DENSE, common_curvature, reptile, start_optimizer


@register("start-bfgs")
class StartBFGS(Candidate):
    """An initialisation amid the solutions, and BFGS with a learned first inverse Hessian."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 10.0 if look.coordinates <= DENSE and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        return StartedRule(common_curvature(scene), scene.params)

    def estimator(self, scene: Scene) -> MetaGradient:
        return reptile(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return start_optimizer(scene, rule)
