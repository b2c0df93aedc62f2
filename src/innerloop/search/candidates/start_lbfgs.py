"""A learned initialisation, and L-BFGS that scales coordinates."""

import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import LBFGSRule, Rule, StartedRule
from .._base import Candidate, Scene
from ..look import Look
from ._quasi_newton import reptile, start_optimizer


@register("start-l-bfgs")
class StartLBFGS(Candidate):
    """An initialisation amid the solutions, from which L-BFGS goes on."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 0.0 if look.noisy else 9.5

    def rule(self, scene: Scene) -> Rule:
        tuned = scene.rules.get("scaled-l-bfgs") or LBFGSRule()
        return StartedRule(tuned, scene.params)

    def estimator(self, scene: Scene) -> MetaGradient:
        return reptile(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return start_optimizer(scene, rule)
