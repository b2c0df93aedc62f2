"""The recipe of the demo, a training run that fits into minutes, and the demo itself."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...fewshot.files import load_with_data
from ...fewshot.methods import PixelNeighbour
from ...fewshot.training import EpisodeSettings
from ...metatrain import RunOptions
from ..settings import Choice
from .run import EvaluationSettings, evaluate_learner, train_run, write_results
from .settings import EpisodeShape, FewShotSettings

DEMO = FewShotSettings(
    # The gates change the output layer alone: an episode then takes one pass through the network,
    # and may have more classes than a test.
    method=Choice(
        "meta-lstm",
        {
            "hidden": 4,
            "rate": 0.8,
            "steps": 10,
            "second_order": True,
            "adapt": "head",
            "head": "shared",
        },
    ),
    episodes=EpisodeShape(way=5, shot=1, queries=5, training_way=10),
    loop=EpisodeSettings(
        steps=1600,
        learning_rate=3e-3,
        rule_learning_rate=0.03,
        validate_every=400,
        validation_problems=100,
        checkpoint_every=None,
    ),
)


def demo(
    *,
    out: Path,
    seed: int = 0,
    show: Callable[[list[dict[str, Any]]], None] = lambda results: None,
) -> list[dict[str, Any]]:
    """Train the Meta-Learner LSTM on Omniglot, 5-way 1-shot, for a minute or two, and test it.

    Beside it what the images' pixels alone give.

    Args:
        out: The folder to write into.
        seed: Of the training, and of the test episodes.
        show: Called with the results before they are written: the disk may be full.

    Returns:
        Both rows of results.json.
    """
    settings = dataclasses.replace(DEMO, seed=seed)
    train_run(settings, RunOptions(out=out, progress=True))
    learner, data = load_with_data(out)
    pixels = PixelNeighbour(learner.shape, learner.backbone)
    asked = EvaluationSettings(seed=seed)
    results = [evaluate_learner(each, data, asked) for each in (learner, pixels)]
    results[1]["method"] = "pixels"
    show(results)
    write_results(results, out)
    return results
