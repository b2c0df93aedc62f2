"""Random quadratics (Andrychowicz et al. 2016, Figure 4 left)."""

from ...comparison import ComparisonSettings
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("quadratic")
class QuadraticExperiment(Experiment):
    """Random quadratics ‖Wθ − y‖² in 10 dimensions (Andrychowicz et al. 2016, Fig. 4 left)."""

    settings = RunSettings(
        task=Choice("quadratic"),
        # The paper feeds raw gradients here, without preprocessing.
        rule=Choice("lstm", {"preprocessing": None}),
        # To second order: it costs no more time here than first order, and the rule ends lower
        # by a fifth (docs/log/2026-optimizers.md has the figures).
        estimator=Choice("truncated-backprop", {"second_order": True}),
        loop=TrainingSettings(steps=2500, learning_rate=6e-3),
        comparison=ComparisonSettings(problems=2000, validation_problems=1000),
    )
