"""Tuned optimizers with learned schedules."""

import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule
from .._base import Candidate, Scene
from ..look import Look
from ._scheduled import by_backprop, by_evolution, can_go_back, meta_optimizer, scheduled


@register("schedule-adam")
class ScheduleAdam(Candidate):
    """Learned rates of Adam for each step and each array."""

    def suits(self, look: Look) -> float:
        return 5.0

    def rule(self, scene: Scene) -> Rule:
        return scheduled(scene, "adam")

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_backprop(scene) if can_go_back(scene.look) else by_evolution(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return meta_optimizer(rule, scene.rate)


@register("schedule-nesterov")
class ScheduleNesterov(ScheduleAdam):
    """Learned rates of Nesterov's momentum for each step and each array."""

    def suits(self, look: Look) -> float:
        return 4.0

    def rule(self, scene: Scene) -> Rule:
        return scheduled(scene, "nesterov")
