"""The recipe for handwritten characters: Omniglot."""

from ...fewshot.training import EpisodeSettings
from ..settings import Choice
from .settings import EpisodeShape, FewShotSettings

COMPARING = ("protonet", "matching", "matching-fce", "plda")
"""Methods that learn better from episodes of many classes."""
JOINT = ("nearest-neighbour", "finetune", "joint")
"""Methods that are trained on all classes at once."""


def recipe(method: str) -> FewShotSettings:
    """The settings of a run on Omniglot.

    Args:
        method: The method's name; one that is not known here is trained as MAML is.
    """
    episodes = EpisodeShape()
    if method == "meta-lstm":
        # Adam at 1e-3, clipped at 0.25, an episode a step: as published.
        loop = EpisodeSettings(steps=6_000, clip=0.25)
    elif method in COMPARING:
        loop, episodes = EpisodeSettings(steps=6_000), EpisodeShape(queries=5, training_way=20)
    elif method in JOINT:
        loop = EpisodeSettings(steps=6_000)
    else:
        loop = EpisodeSettings(steps=3_000, meta_batch_size=4)
    return FewShotSettings(
        method=Choice(method), data=Choice("omniglot"), loop=loop, episodes=episodes
    )
