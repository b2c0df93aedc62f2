"""A convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Figure 7)."""

from ...comparison import ComparisonSettings, Grid
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("cifar10")
class CIFAR10Experiment(Experiment):
    """A small convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Fig. 7)."""

    settings = RunSettings(
        task=Choice("cifar10"),
        # One rule for convolutional parameters and one for dense ones.
        rule=Choice("lstm", {"output_scale": 0.01}),
        rule_parts=("conv", "dense"),
        init_from="lstm-mnist",
        estimator=Choice(
            "truncated-backprop",
            {
                "meta_batch_size": 4,
                "horizon": 200,
                "min_horizon": 60,
                "objective": "log",
                "coordinates": 800,
            },
        ),
        loop=TrainingSettings(
            steps=1600,
            learning_rate=5e-3,
            validate_at=100,
            validate_over=20,
            validate_every=100,
            validation_problems=24,
            log_every=10,
            checkpoint_every=100,
        ),
        comparison=ComparisonSettings(
            problems=200,
            horizon_multiple=1,
            validation_problems=8,
            test_top_k=2,
            grid=Grid(low=3e-3, high=0.3),
        ),
    )
