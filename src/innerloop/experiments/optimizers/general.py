"""One rule for problems that nobody trained it for."""

from ...comparison import ComparisonSettings
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("general")
class GeneralExperiment(Experiment):
    """Six small task families in random units, for one rule that needs no tuning.

    The recipe of Moudgil et al. (2026, arXiv:2602.19142): persistent evolution strategies with
    truncations of 50 steps of runs of 100 to 2,000, eight pairs a family, losses bounded at 20,
    parameters in units of 10⁻³ to 10³, a small meta-learning rate with a cosine. It has a tenth of
    their meta-steps at three times their rate, six families in place of four, and Adam in place of
    AdamW, whose decay would change nothing here. A meta-step makes 4,800 inner steps. All of it
    takes an hour and a half on one core.

    Validation runs the rule on problems in their own unit, of all families at once. It does not
    tell how a rule transfers: choose among the checkpoints of a run on larger problems.
    """

    settings = RunSettings(
        task=Choice("mixture", {"decades": 3.0}),
        rule=Choice("general"),
        estimator=Choice(
            "persistent-evolution-strategies",
            {"meta_batch_size": 8, "horizon": 2000, "min_horizon": 100},
        ),
        loop=TrainingSettings(
            steps=10_000,
            learning_rate=3e-4,
            clip=1.0,
            validate_at=500,
            validate_over=50,
            validate_every=500,
            validation_problems=8,
            log_every=20,
            checkpoint_every=200,
        ),
        comparison=ComparisonSettings(problems=32, horizon=500, validation_problems=16),
    )
