"""What is not learned by gradients but chosen on validation episodes: the baselines' settings."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from ..errors import InnerloopError
from ._base import MetaLearner
from .episode import EpisodeSampler
from .evaluation import evaluate
from .files import Recipe

_RATIO = 10**0.5
_RATES = (0.01, 0.1, 1.0)
_DECAYS = (0.0, 0.01, 0.1, 1.0)
_FURTHEST = 6  # Rates to either side of the grid, at most.

Judge = Callable[[dict[str, Any]], float]


def tuned(
    learner: MetaLearner,
    recipe: Recipe,
    validation: EpisodeSampler,
    *,
    key: PRNGKeyArray,
    episodes: int,
) -> tuple[MetaLearner, Recipe, list[dict[str, Any]]]:
    """(learner, recipe, what was tried) with the settings that do best on validation episodes.

    Fine-tuning's rate and its decay, and the nearest neighbour's distance (Ravi & Larochelle
    2017, Section 5.2); every other method's learner comes back as it is, and nothing was tried.
    Raises `InnerloopError` where the logits were not finite with any of them.
    """
    tried: list[dict[str, Any]] = []

    def remade(settings: dict[str, Any]) -> tuple[MetaLearner, Recipe]:
        changed = dataclasses.replace(recipe, settings={**recipe.settings, **settings})
        made = changed.make(key=jax.random.key(0))
        return jax.tree.unflatten(jax.tree.structure(made), jax.tree.leaves(learner)), changed

    def judge(settings: dict[str, Any]) -> float:
        for each in tried:
            if each["settings"] == settings:
                return _ranked(each["accuracy"])
        accuracies = evaluate(remade(settings)[0], validation, key=key, episodes=episodes)
        accuracy = float(accuracies.mean())
        tried.append({"settings": settings, "accuracy": _finite(accuracy)})
        return _ranked(tried[-1]["accuracy"])

    search = _SEARCHES.get(recipe.method)
    if search is None:
        return learner, recipe, tried
    found = search(judge)
    if all(each["accuracy"] is None for each in tried):
        raise InnerloopError(
            f"None of the {len(tried)} settings of {recipe.method} that were tried gives finite "
            "logits in all validation episodes."
        )
    return *remade(found), tried


def _finite(accuracy: float) -> float | None:
    return accuracy if math.isfinite(accuracy) else None


def _ranked(accuracy: float | None) -> float:
    """Worse than any, where there is none."""
    return -math.inf if accuracy is None else accuracy


def _fine_tuning(judge: Judge) -> dict[str, Any]:
    """The best rate without decay, the best decay at it, and then the rates around."""

    def at(rate: float, decay: float) -> float:
        return judge({"rate": float(f"{rate:.3g}"), "decay": decay})

    def climb(rate: float, decay: float, ratio: float) -> float:
        """The rate after which neither neighbour is better."""
        for _, direction in itertools.product(range(_FURTHEST), (ratio, 1 / ratio)):
            if at(rate * direction, decay) > at(rate, decay):
                rate *= direction
        return rate

    rate = climb(max(_RATES, key=lambda rate: at(rate, 0.0)), 0.0, _RATIO)
    decay = max(_DECAYS, key=lambda decay: at(rate, decay))
    rate = climb(rate, decay, _RATIO)
    return {"rate": float(f"{rate:.3g}"), "decay": decay}


def _nearest_neighbour(judge: Judge) -> dict[str, Any]:
    choices = [{"distance": distance} for distance in ("cosine", "euclidean")]
    return max(choices, key=judge)


_SEARCHES: dict[str, Callable[[Judge], dict[str, Any]]] = {
    "finetune": _fine_tuning,
    "nearest-neighbour": _nearest_neighbour,
}
