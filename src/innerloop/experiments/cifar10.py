"""A convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Figure 7)."""

import jax
from jaxtyping import PRNGKeyArray

from ..comparison import Grid
from ..metatrain import TrainingSettings
from ..rules import MultiRule, TensorwiseRule
from ..rules.files import load
from ..tasks import CIFAR10
from ._base import ComparisonSettings, Experiment


def two_rules(*, key: PRNGKeyArray, begin: str | None = "tensorwise-mnist") -> MultiRule:
    """One rule for convolutional parameters and one for dense ones.

    Both begin as the rule `begin` (a file or a shipped name), or afresh where it is None.
    """
    if begin is not None:
        rule = load(begin)
        return MultiRule({"conv": rule, "dense": rule})
    conv_key, dense_key = jax.random.split(key)
    return MultiRule({"conv": TensorwiseRule(key=conv_key), "dense": TensorwiseRule(key=dense_key)})


EXPERIMENT = Experiment(
    name="cifar10",
    summary="a small convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Fig. 7)",
    make_task=CIFAR10,
    make_rule=two_rules,
    training=TrainingSettings(
        method="evolution",
        steps=300,
        problems=8,
        horizon=200,
        shortest=40,
        objective="log",
        learning_rate=1e-2,
        clip=10.0,
        validate_at=100,
        validate_every=30,
        validation_problems=24,
        log_every=5,
        checkpoint_every=30,
    ),
    comparison=ComparisonSettings(
        problems=100, validation_problems=8, grid=Grid(low=3e-3, high=0.3)
    ),
)
