"""Neural art: photographs in a painting's style (Andrychowicz et al. 2016, Figures 8 and 9)."""

from ...comparison import Grid
from ...metatrain import TrainingSettings
from ...tasks import NeuralArt
from .._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="neural-art",
    summary="photographs in the style of a painting (Andrychowicz et al. 2016, Fig. 8 and 9)",
    make_task=NeuralArt,
    begin="lstm-mnist",
    rule={"output_scale": 0.01},
    training=TrainingSettings(
        steps=1000,
        problems=4,
        horizon=128,
        window=32,
        objective="log",
        coordinates=1500,
        learning_rate=5e-3,
        validate_every=100,
        validation_problems=20,
        log_every=10,
        checkpoint_every=100,
    ),
    comparison=ComparisonSettings(
        problems=100,
        horizon=128,
        beyond=1,
        validation_problems=2,
        grid=Grid(low=1e-2, high=1.0),
    ),
)
