"""Many small MNIST networks, for one rule that does not mind which."""

from ..metatrain import TrainingSettings
from ..rules import RNNpropRule
from ..tasks import MNISTFamily
from ._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="mnist-family",
    summary="MLPs of random width, depth, activation and scale on MNIST, for RNNprop",
    make_task=MNISTFamily,
    make_rule=RNNpropRule,
    training=TrainingSettings(
        steps=4500,
        problems=4,
        horizon=400,
        shortest=40,
        objective="log",
        coordinates=1500,
        learning_rate=5e-3,
        validate_at=100,
        validate_every=300,
        validation_problems=48,
        checkpoint_every=250,
    ),
    comparison=ComparisonSettings(problems=128, validation_problems=64),
)
