"""The recipe for miniImageNet."""

import dataclasses

from ...fewshot.augment import Augmentation
from ...fewshot.training import EpisodeSettings
from ..settings import Choice
from .omniglot import COMPARING, JOINT, recipe as of_characters
from .settings import FewShotSettings

# Of joint training, and of what builds upon it.
_EMBEDDING = Choice("conv4", {"filters": 64, "pool": "mean"})
_JOINT = FewShotSettings(
    method=Choice("joint"),
    backbone=_EMBEDDING,
    data=Choice("miniimagenet"),
    augment=Augmentation(flip=True, shift=8, colour=0.3),
    # Sixty times all 38,400 images, as in Tian et al. (2020).
    loop=EpisodeSettings(
        steps=36_000,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        clip=5.0,
        validate_every=600,
        checkpoint_every=300,
    ),
)


def recipe(method: str) -> FewShotSettings:
    """The settings of a run on miniImageNet.

    Args:
        method: The method's name; one that is not known here is trained as MAML is.
    """
    if method == "joint":
        return _JOINT
    settings = of_characters(method)
    if method == "plda":
        given = {"method": Choice("plda", {"mirrored": True}), "backbone": _EMBEDDING}
        settings = dataclasses.replace(settings, **given)
    if method == "meta-lstm":
        steps = 50_000
    elif method in (*COMPARING, *JOINT):
        steps = 20_000
    else:
        steps = 30_000
    return dataclasses.replace(
        settings,
        data=Choice("miniimagenet"),
        loop=dataclasses.replace(settings.loop, steps=steps),
        # A photograph mirrored is one of the same class; a character is not.
        augment=Augmentation(flip=True, shift=8),
    )
