"""Learned leaps, and Adam with a learned schedule."""

import dataclasses
import math

import equinox as eqx
import optax

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import Rule
from .._base import Candidate, Scene
from ..look import Look
from ._leaps import NEARER, by_leaps, leap_optimizer, leaping, rule_optimizer, suits_leaps
from ._scheduled import by_backprop, can_go_back, scheduled


@register("leap-adam")
class LeapAdam(Candidate):
    """Leaps to where a network expects the solution, and Adam with learned rates from there."""

    learns = "initialisation and rule"
    warm_up_share = 0.6
    warms_up_again = True

    def suits(self, look: Look) -> float:
        return 12.0 if suits_leaps(look) and can_go_back(look) else 0.0

    def rule(self, scene: Scene) -> Rule:
        rule = scheduled(scene, "adam")
        slower = rule.log_rates + math.log(NEARER)
        return leaping(scene, eqx.tree_at(lambda each: each.log_rates, rule, slower))

    def warm_up(self, scene: Scene) -> MetaGradient:
        return by_leaps(scene)

    def warm_up_optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return leap_optimizer(scene.rate)

    def estimator(self, scene: Scene) -> MetaGradient:
        # Clipped all together: a problem's own meta-gradient would be as large as the network.
        return dataclasses.replace(by_backprop(scene), clip_each=None)

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return rule_optimizer(scene)
