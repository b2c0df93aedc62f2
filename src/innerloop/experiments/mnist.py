"""MNIST classifiers (Andrychowicz et al. 2016, Figure 4 centre and right)."""

from ..metatrain import TrainingSettings
from ..tasks import MNIST
from ._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="mnist",
    summary="an MLP of 20 sigmoid units on MNIST digits (Andrychowicz et al. 2016, Fig. 4 centre)",
    make_task=MNIST,
    training=TrainingSettings(
        steps=1800,
        problems=2,
        learning_rate=3e-3,
        validate_every=100,
        validation_problems=16,
        log_every=10,
        checkpoint_every=100,
    ),
    comparison=ComparisonSettings(problems=128, validation_problems=32),
)
