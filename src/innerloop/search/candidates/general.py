"""The shipped general rule, whose schedule is fitted to the task."""

import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule, ScheduledGeneralRule
from ...rules.files import load, shipped, shipped_file
from ...rules.ready import NAME
from .._base import Candidate, Scene
from ..look import Look
from ._scheduled import by_evolution


@register("general")
class General(Candidate):
    """The general rule, told the horizon; a few numbers of its schedule are trained."""

    def suits(self, look: Look) -> float:
        return 6.0 if NAME in shipped() else 0.0

    def rule(self, scene: Scene) -> Rule:
        trained = load(shipped_file(NAME))
        return ScheduledGeneralRule.around(trained).with_horizon(scene.horizon)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_evolution(scene)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return optax.adam(0.03)
