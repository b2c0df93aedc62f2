"""A convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Figure 7)."""

import jax
from jaxtyping import PRNGKeyArray

from ...comparison import Grid
from ...metatrain import TrainingSettings
from ...rules import LSTMRule, MultiRule
from ...rules.files import load
from ...tasks import CIFAR10
from .._base import ComparisonSettings, Experiment


def two_rules(*, key: PRNGKeyArray, begin: str | None = "lstm-mnist") -> MultiRule:
    """One rule for convolutional parameters and one for dense ones.

    Both begin as the rule `begin` (a file or a shipped name), or afresh where it is None.
    """
    if begin is not None:
        rule = load(begin)
        return MultiRule({"conv": rule, "dense": rule})
    conv_key, dense_key = jax.random.split(key)
    return MultiRule(
        {
            "conv": LSTMRule(key=conv_key, output_scale=0.01),
            "dense": LSTMRule(key=dense_key, output_scale=0.01),
        }
    )


EXPERIMENT = Experiment(
    name="cifar10",
    summary="a small convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Fig. 7)",
    make_task=CIFAR10,
    make_rule=two_rules,
    training=TrainingSettings(
        steps=1600,
        problems=4,
        horizon=200,
        shortest=60,
        objective="log",
        coordinates=800,
        learning_rate=5e-3,
        validate_at=100,
        validate_over=20,
        validate_every=100,
        validation_problems=24,
        log_every=10,
        checkpoint_every=100,
    ),
    comparison=ComparisonSettings(
        problems=300,
        beyond=1,
        validation_problems=8,
        grid=Grid(low=3e-3, high=0.3),
    ),
)
