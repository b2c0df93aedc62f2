"""Few-shot methods on images: one recipe a file, and how a run of them goes."""

from .run import (
    EvaluationSettings as EvaluationSettings,
    evaluate_learner as evaluate_learner,
    train_run as train_run,
)
from .settings import EpisodeShape as EpisodeShape, FewShotSettings as FewShotSettings
