"""The recipe for photographs of one's own: a folder of class folders, or a registered dataset."""

import dataclasses

from ..settings import Choice
from . import miniimagenet, omniglot
from .settings import FewShotSettings

_SHIFT = 0.1  # Of an image's side.
_SMALL = 32  # Pixels of a side. A step costs as many times more as an image has more pixels.


def recipe(method: str, data: Choice) -> FewShotSettings:
    """Settings for photographs: mirrored, moved; a run takes about an hour on two cores.

    Args:
        method: The method's name; one that is not known here is trained as MAML is.
        data: The dataset. Its setting `side`, 84 if it has none, decides how far images are
            moved, and how many steps an hour has.
    """
    side = data.settings.get("side", 84)
    hour = min(1.0, (_SMALL / side) ** 2)
    # The embedding for photographs, and what builds upon it, are those of miniImageNet.
    known = miniimagenet if method in ("joint", "plda") else omniglot
    settings = known.recipe(method)
    augment = dataclasses.replace(settings.augment, flip=True, shift=int(_SHIFT * side))
    steps, batches = 8_000, settings.loop.meta_batch_size
    if method == "joint":
        steps, batches = 16_000, 2  # Each core has a batch.
    elif method in (*omniglot.COMPARING, *omniglot.JOINT):
        steps = 20_000
    steps = round(steps * hour)
    loop = dataclasses.replace(
        settings.loop,
        steps=steps,
        meta_batch_size=batches,
        validate_every=max(1, steps // 10),
        checkpoint_every=250,
    )
    return dataclasses.replace(settings, data=data, loop=loop, augment=augment)
