"""Many small MNIST networks, for one rule that does not mind which."""

from ...comparison import ComparisonSettings
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("mnist-family")
class MNISTFamilyExperiment(Experiment):
    """MLPs of random width, depth and activation on MNIST, for a rule of momenta."""

    settings = RunSettings(
        task=Choice("mnist-family", {"width": 24, "scaling": 0.0}),
        rule=Choice("per-tensor"),
        estimator=Choice(
            "evolution-strategies",
            {"meta_batch_size": 16, "horizon": 1000, "min_horizon": 60, "objective": "log"},
        ),
        loop=TrainingSettings(
            steps=900,
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
