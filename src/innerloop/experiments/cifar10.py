"""A convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Figure 7)."""

import jax
from jaxtyping import PRNGKeyArray

from ..comparison import Grid
from ..metatrain import TrainingSettings
from ..rules import LSTMRule, MultiRule
from ..rules.files import load
from ..tasks import CIFAR10
from ._base import ComparisonSettings, Experiment


def two_rules(
    *,
    key: PRNGKeyArray,
    begin: str | None = "lstm-mnist",
    hidden: int = 20,
    output_scale: float = 0.01,
) -> MultiRule:
    """One LSTM for convolutional parameters and one for dense ones.

    Both begin as the rule `begin` (a file or a shipped name), which spares them the long
    plateau at the start of training, or afresh where it is None.
    """
    if begin is not None:
        rule = load(begin)
        return MultiRule({"conv": rule, "dense": rule})
    seeds = {"conv": 0, "dense": 1}
    return MultiRule(
        {
            name: LSTMRule(
                key=jax.random.fold_in(key, seed), hidden=hidden, output_scale=output_scale
            )
            for name, seed in seeds.items()
        }
    )


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
