"""The per-tensor rule, from its shipped weights."""

import optax

from ...metatrain import EvolutionStrategies, MetaGradient
from ...registry import register
from ...rules import Rule
from ...rules.files import load
from .._base import Candidate, Scene, batch_size, objective
from ..look import Look


@register("per-tensor-evolution")
class PerTensorEvolution(Candidate):
    """The shipped rule of momenta, fine-tuned by evolution strategies."""

    def suits(self, look: Look) -> float:
        return 6.0 if look.noisy else 2.0

    def rule(self, scene: Scene) -> Rule:
        return load("tensorwise-mnist")

    def estimator(self, scene: Scene) -> MetaGradient:
        return EvolutionStrategies(
            meta_batch_size=batch_size(scene.look, most=16),
            horizon=scene.horizon,
            objective=objective(scene.look),
            sigma=0.03,
            judged=1.0,
        )

    def optimizer(self, scene: Scene, rule: Rule) -> optax.GradientTransformation:
        return optax.adam(1e-2)
