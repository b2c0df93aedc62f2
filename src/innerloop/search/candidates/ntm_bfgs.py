"""The LSTM with a memory that learns like BFGS, for small problems."""

from ...metatrain import MetaGradient
from ...registry import register
from ...rules import NTMBFGSRule, Rule
from .._base import Candidate, Scene
from ..look import Look
from ._network import by_windows


@register("ntm-bfgs")
class NTMBFGS(Candidate):
    """The LSTM with a memory that learns like BFGS, for small problems."""

    def suits(self, look: Look) -> float:
        return 0.5 if look.coordinates <= 100 and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        return NTMBFGSRule(key=scene.key)

    def estimator(self, scene: Scene) -> MetaGradient:
        return by_windows(scene, second_order=True)
