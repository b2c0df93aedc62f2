"""A convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Figure 7)."""

import jax
from jaxtyping import PRNGKeyArray

from ..comparison import Grid
from ..metatrain import TrainingSettings
from ..rules import LSTMRule, MultiRule
from ..rules.files import load
from ..tasks import CIFAR10
from ._base import ComparisonSettings, Experiment


def two_rules(*, key: PRNGKeyArray, begin: str | None = "lstm-mnist") -> MultiRule:
    """One LSTM for convolutional parameters and one for dense ones.

    Both begin as the rule `begin` (a file or a shipped name), to spare them the plateau that
    training on MNIST began with; or afresh where it is None.
    """
    if begin is not None:
        rule = load(begin)
        return MultiRule({"conv": rule, "dense": rule})
    conv_key, dense_key = jax.random.split(key)
    conv, dense = (LSTMRule(key=part, output_scale=0.01) for part in (conv_key, dense_key))
    return MultiRule({"conv": conv, "dense": dense})


EXPERIMENT = Experiment(
    name="cifar10",
    summary="a small convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Fig. 7)",
    make_task=CIFAR10,
    make_rule=two_rules,
    training=TrainingSettings(
        steps=1500,
        problems=4,
        horizon=200,
        shortest=40,
        objective="log",
        coordinates=800,
        learning_rate=5e-3,
        validate_at=100,
        validate_every=250,
        validation_problems=16,
        checkpoint_every=250,
    ),
    comparison=ComparisonSettings(
        problems=100, validation_problems=8, grid=Grid(low=1e-3, high=0.3)
    ),
)
