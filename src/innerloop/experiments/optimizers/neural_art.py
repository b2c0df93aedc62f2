"""Neural art: photographs in a painting's style (Andrychowicz et al. 2016, Figures 8 and 9)."""

from ...comparison import ComparisonSettings, Grid
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("neural-art")
class NeuralArtExperiment(Experiment):
    """Photographs in the style of a painting (Andrychowicz et al. 2016, Fig. 8 and 9)."""

    settings = RunSettings(
        task=Choice("neural-art"),
        rule=Choice("lstm", {"output_scale": 0.01}),
        init_from="lstm-mnist",
        estimator=Choice(
            "truncated-backprop",
            {
                "meta_batch_size": 4,
                "horizon": 128,
                "truncation": 32,
                "objective": "log",
                "coordinates": 1500,
            },
        ),
        loop=TrainingSettings(
            steps=1000,
            learning_rate=5e-3,
            validate_every=100,
            validation_problems=20,
            log_every=10,
            checkpoint_every=100,
        ),
        comparison=ComparisonSettings(
            problems=64,
            horizon=128,
            horizon_multiple=1,
            validation_problems=2,
            test_top_k=2,
            grid=Grid(low=0.03, high=0.3),
        ),
    )
