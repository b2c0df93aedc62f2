"""MNIST classifiers (Andrychowicz et al. 2016, Figure 4 centre and right)."""

from ...comparison import ComparisonSettings, Grid
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("mnist")
class MNISTExperiment(Experiment):
    """An MLP of 20 sigmoid units on MNIST digits (Andrychowicz et al. 2016, Fig. 4 centre)."""

    settings = RunSettings(
        task=Choice("mnist"),
        # The authors' code scales the outputs by 0.01 here, where the paper has 0.1.
        rule=Choice("lstm", {"output_scale": 0.01}),
        estimator=Choice(
            "truncated-backprop", {"meta_batch_size": 4, "objective": "log", "coordinates": 1500}
        ),
        loop=TrainingSettings(
            steps=2400,
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
