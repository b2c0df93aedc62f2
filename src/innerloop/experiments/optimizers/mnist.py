"""MNIST classifiers (Andrychowicz et al. 2016, Figure 4 centre and right)."""

from ...comparison import Grid
from ...metatrain import TrainingSettings
from ...tasks import MNIST
from .._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="mnist",
    summary="an MLP of 20 sigmoid units on MNIST digits (Andrychowicz et al. 2016, Fig. 4 centre)",
    make_task=MNIST,
    # The authors' code scales the outputs by 0.01 here, where the paper has 0.1.
    rule={"output_scale": 0.01},
    training=TrainingSettings(
        steps=2400,
        problems=4,
        objective="log",
        coordinates=1500,
        learning_rate=1e-2,
        validate_every=150,
        validation_problems=32,
        log_every=10,
        checkpoint_every=150,
    ),
    comparison=ComparisonSettings(
        problems=128, validation_problems=16, grid=Grid(low=1e-3, high=1.0)
    ),
)
