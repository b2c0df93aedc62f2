"""Many small MNIST networks, for one rule that does not mind which."""

import functools

from ...metatrain import TrainingSettings
from ...rules import PerTensorRule
from ...tasks import MNISTFamily
from .._base import ComparisonSettings, Experiment

EXPERIMENT = Experiment(
    name="mnist-family",
    summary="MLPs of random width, depth and activation on MNIST, for a rule of momenta",
    make_task=functools.partial(MNISTFamily, width=24, scaling=0.0),
    make_rule=PerTensorRule,
    training=TrainingSettings(
        method="evolution",
        steps=900,
        problems=16,
        horizon=1000,
        shortest=60,
        objective="log",
        learning_rate=2e-2,
        clip=10.0,
        validate_at=200,
        validate_every=100,
        validation_problems=24,
        log_every=5,
        checkpoint_every=100,
    ),
    comparison=ComparisonSettings(problems=128, validation_problems=32),
)
