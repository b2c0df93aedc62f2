"""What is not learned by gradients but chosen on validation episodes."""

import math
from typing import Any

from jaxtyping import PRNGKeyArray

from ..errors import InnerloopError
from ._base import MetaLearner
from .episode import EpisodeSampler
from .evaluation import evaluate
from .files import method_of
from .kept import keep


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
        learner of which nothing is tuned comes back as it is, with an empty list. The accuracy is
        None where the logits were not finite in all episodes.

    Raises:
        InnerloopError: It is None with all settings.
    """
    tried: list[dict[str, Any]] = []
    kept = keep(learner, validation, episodes)

    def judge(settings: dict[str, Any]) -> float:
        for each in tried:
            if each["settings"] == settings:
                return _rank(each["accuracy"])
        changed = learner.with_settings(**settings)
        if kept is not None and changed.keeps_features:
            met, sampler = kept.learner(changed), kept.sampler
        else:
            met, sampler = changed, validation
        accuracies = evaluate(met, sampler, key=key, episodes=episodes)
        accuracy = float(accuracies.mean())
        accuracy = accuracy if math.isfinite(accuracy) else None
        tried.append({"settings": settings, "accuracy": accuracy})
        return _rank(accuracy)

    best = learner.tune(judge)
    if tried and all(each["accuracy"] is None for each in tried):
        raise InnerloopError(
            f"None of the {len(tried)} settings of {method_of(learner)} that were tried gives "
            "finite logits in all validation episodes."
        )
    return (learner.with_settings(**best) if best else learner), tried


def _rank(accuracy: float | None) -> float:
    """Worse than any, where there is none."""
    return -math.inf if accuracy is None else accuracy
