"""What is not learned by gradients but chosen on validation episodes."""

from typing import Any

from jaxtyping import PRNGKeyArray

from ._base import MetaLearner
from .episode import EpisodeSampler
from .evaluation import evaluate


def tune(
    learner: MetaLearner, validation: EpisodeSampler, *, key: PRNGKeyArray, episodes: int
) -> tuple[MetaLearner, list[dict[str, Any]]]:
    """A learner with the settings that do best on validation episodes.

    Args:
        learner: A trained learner; its method says by `MetaLearner.tune` what is chosen.
        validation: Draws episodes of classes that it was not trained on.
        key: Draws the episodes, the same ones for all settings.
        episodes: How many.

    Returns:
        The learner with the best settings, and what was tried: settings and their accuracy. A
        learner of which nothing is tuned comes back as it is, with an empty list.
    """
    tried: list[dict[str, Any]] = []

    def judge(settings: dict[str, Any]) -> float:
        for each in tried:
            if each["settings"] == settings:
                return each["accuracy"]
        changed = learner.with_settings(**settings)
        accuracies = evaluate(changed, validation, key=key, episodes=episodes)
        tried.append({"settings": settings, "accuracy": float(accuracies.mean())})
        return tried[-1]["accuracy"]

    best = learner.tune(judge)
    return (learner.with_settings(**best) if best else learner), tried
