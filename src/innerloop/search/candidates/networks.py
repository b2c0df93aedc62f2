"""Rules that are networks, trained through windows of their runs."""

from ...metatrain import TruncatedBackprop
from ...registry import register
from ...rules import LSTMGACRule, LSTMRule, NTMBFGSRule, RNNpropRule, Rule
from .._base import Candidate, Scene, batch_size, divisor, objective
from ..look import Look

_MOST = 4000
"""Coordinates of a problem, above which a sample of each array's is gone back through."""


class _Network(Candidate):
    """Windows of 20 steps, to second order, with the log objective where losses are positive."""

    second_order = True

    def estimator(self, scene: Scene) -> TruncatedBackprop:
        look = scene.look
        sampled = 1000 if look.coordinates > _MOST and not self.second_order else None
        return TruncatedBackprop(
            meta_batch_size=batch_size(look, most=64),
            horizon=look.horizon,
            truncation=divisor(look.horizon, 20),
            objective=objective(look),
            second_order=self.second_order,
            coordinates=sampled,
        )


@register("lstm-1")
class LSTMFirstOrder(_Network):
    """The LSTM with ten units, to first order."""

    second_order = False

    def suits(self, look: Look) -> float:
        return 1.0

    def rule(self, scene: Scene) -> Rule:
        return LSTMRule(key=scene.key, hidden=10)


@register("lstm-2")
class LSTMSecondOrder(LSTMFirstOrder):
    """The LSTM with ten units, to second order."""

    second_order = True

    def suits(self, look: Look) -> float:
        return 0.0 if look.coordinates > 2000 else 1.5


@register("rnnprop-1")
class RNNpropFirstOrder(_Network):
    """RNNprop with ten units, to first order."""

    second_order = False

    def suits(self, look: Look) -> float:
        return 4.0 if look.noisy else 1.0

    def rule(self, scene: Scene) -> Rule:
        return RNNpropRule(key=scene.key, hidden=10, output_scale=3 * scene.rate)


@register("rnnprop-2")
class RNNpropSecondOrder(RNNpropFirstOrder):
    """RNNprop with ten units, to second order."""

    second_order = True

    def suits(self, look: Look) -> float:
        return 0.0 if look.coordinates > 2000 else 2.5


@register("lstm-gac")
class LSTMGAC(_Network):
    """The LSTM whose cells share global averages, for small problems."""

    def suits(self, look: Look) -> float:
        return 0.5 if look.coordinates <= 100 and not look.noisy else 0.0

    def rule(self, scene: Scene) -> Rule:
        return LSTMGACRule(key=scene.key, hidden=10)


@register("ntm-bfgs")
class NTMBFGS(LSTMGAC):
    """The LSTM with a memory that learns like BFGS, for small problems."""

    def rule(self, scene: Scene) -> Rule:
        return NTMBFGSRule(key=scene.key)
