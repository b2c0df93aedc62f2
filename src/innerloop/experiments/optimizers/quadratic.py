"""Random quadratics (Andrychowicz et al. 2016, Figure 4 left)."""

from ...metatrain import TrainingSettings
from ...tasks import Quadratic
from .._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="quadratic",
    summary="random quadratics ‖Wθ − y‖² in 10 dimensions (Andrychowicz et al. 2016, Fig. 4 left)",
    make_task=Quadratic,
    # The paper feeds raw gradients here, without preprocessing.
    rule={"preprocessing": None},
    # To second order: it costs no more time here than first order, and the rule ends lower by
    # a fifth (docs/reproductions.md has the figures).
    training=TrainingSettings(steps=2500, learning_rate=6e-3, second_order=True),
    comparison=ComparisonSettings(problems=2000, validation_problems=1000, reference=True),
)
