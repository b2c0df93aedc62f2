"""The recipe for miniImageNet."""

import dataclasses

from ...fewshot.augment import Augmentation
from ..settings import Choice
from .omniglot import COMPARING, JOINT, recipe as of_characters
from .settings import FewShotSettings


def recipe(method: str) -> FewShotSettings:
    """The settings of a run on miniImageNet.

    Args:
        method: The method's name; one that is not known here is trained as MAML is.
    """
    settings = of_characters(method)
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
