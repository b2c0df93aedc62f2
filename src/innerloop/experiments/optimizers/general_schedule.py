"""A learned schedule for the general rule."""

from ...comparison import ComparisonSettings
from ...metatrain import TrainingSettings
from ...registry import register
from .. import Choice, Experiment, RunSettings


@register("general-schedule")
class GeneralScheduleExperiment(Experiment):
    """A schedule for the general rule, whose network is frozen: the second phase of its training.

    Begin with a trained general rule by --init-from. Eleven numbers are learned, on the problems
    that the rule was trained on, by the same estimator with larger changes and a larger rate. Half
    of the runs are told their length, which differs from run to run, and half are not. A loss
    counts in proportion to the part of the run that is done, since a schedule is for where a run
    ends.

    The shipped rule `general` is not from here: its schedule is the one that this begins with.

    The last rule is the one to keep, so that validation, which does not tell the length, comes at
    the end alone.
    """

    settings = RunSettings(
        task=Choice("mixture", {"decades": 3.0}),
        rule=Choice("scheduled-general"),
        estimator=Choice(
            "persistent-evolution-strategies",
            {
                "meta_batch_size": 8,
                "horizon": 2000,
                "min_horizon": 100,
                "objective": "linear",
                "sigma": 0.1,
            },
        ),
        loop=TrainingSettings(
            steps=600,
            learning_rate=0.03,
            clip=1.0,
            validate_at=500,
            validate_over=50,
            validate_every=600,
            validation_problems=8,
            log_every=20,
            checkpoint_every=100,
        ),
        comparison=ComparisonSettings(problems=32, horizon=500, validation_problems=16),
    )
