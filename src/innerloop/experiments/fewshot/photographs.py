"""The recipe for photographs of one's own: a folder of class folders, or a registered dataset."""

import dataclasses

from ...fewshot.augment import Augmentation
from ..settings import Choice
from .omniglot import COMPARING, JOINT, recipe as of_characters
from .settings import FewShotSettings

_SHIFT = 0.1  # Of an image's side.


def recipe(method: str, data: Choice) -> FewShotSettings:
    """The settings of a run on photographs: mirrored, moved, and done within hours on a CPU.

    Args:
        method: The method's name; one that is not known here is trained as MAML is.
        data: The dataset. Its setting `side`, 84 if it has none, decides how far images are
            moved.
    """
    settings = of_characters(method)
    steps = 2_000 if method in (*COMPARING, *JOINT) else 1_000
    return dataclasses.replace(
        settings,
        data=data,
        loop=dataclasses.replace(
            settings.loop, steps=steps, validate_every=250, checkpoint_every=250
        ),
        augment=Augmentation(flip=True, shift=int(_SHIFT * data.settings.get("side", 84))),
    )
