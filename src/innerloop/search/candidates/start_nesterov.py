"""A learned initialisation, and Nesterov with a learned schedule."""

import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule
from .._base import Candidate, Scene
from ..look import Look
from ._scheduled import by_backprop, by_short_runs, can_go_back, meta_optimizer, started


@register("start-nesterov")
class StartNesterov(Candidate):
    """A learned initialisation, and learned rates for each step and each coordinate."""

    learns = "initialisation and rule"

    def suits(self, look: Look) -> float:
        return 3.0 if can_go_back(look) else 0.0

    def rule(self, scene: Scene) -> Rule:
        return started(scene, "nesterov", "coordinate")

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_backprop(scene)

    def warm_up(self, scene: Scene) -> MetaGradient | None:
        return by_short_runs(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return meta_optimizer(rule, scene.rate)
