"""How each method is trained, unless the user says otherwise."""

import dataclasses
from typing import Any

from ...fewshot.augment import Augmentation
from ...metatrain import LoopSettings
from .sources import MINIIMAGENET, OMNIGLOT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """Settings of the method, of its episodes, and of the loop."""

    loop: LoopSettings
    meta_batch_size: int = 1
    """Episodes in a meta-step."""
    method: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the method that differ from its defaults."""
    queries: int = 15
    """Query images a class in meta-training."""
    way: int | None = None
    """Classes in an episode of meta-training; None for as many as are tested."""
    batch: int = 64
    """Images at once, where a method is trained on all classes jointly."""
    rule_learning_rate: float | None = None
    """The meta-learning rate of a gradient meta-learner's rule, if not that of all else."""
    flip: bool = False
    """Whether images are mirrored at random."""
    shift: int = 0
    """By how many pixels, at most, images are moved at random."""
    warp: float = 0.0
    """How far, at most, images are turned and stretched at random; see `Augmentation`."""

    def augmentation(self) -> Augmentation:
        """What is done to the images of meta-training."""
        return Augmentation(flip=self.flip, shift=self.shift, warp=self.warp)


def training_for(method: str, data: str) -> Training:
    """The recipe of `method` on images like `data`'s."""
    photographs = data == MINIIMAGENET
    if photographs:
        # A photograph mirrored is one of the same class; a character is not.
        return dataclasses.replace(_training_for(method, photographs), flip=True, shift=8)
    return _training_for(method, photographs)


def _training_for(method: str, photographs: bool) -> Training:

    def loop(**settings: Any) -> LoopSettings:
        common: dict[str, Any] = {
            "learning_rate": 1e-3,
            "validate_every": 500,
            "validation_problems": 200,
            "checkpoint_every": 500,
            "log_every": 50,
        }
        return LoopSettings(**{**common, **settings})

    if method == "meta-lstm":
        # Adam at 1e-3, clipped at 0.25, an episode a step: as published.
        return Training(loop=loop(steps=50_000 if photographs else 6_000, clip=0.25))
    if method == "protonet":
        return Training(loop=loop(steps=20_000 if photographs else 6_000), queries=5, way=20)
    if method in ("matching", "matching-fce"):
        return Training(loop=loop(steps=20_000 if photographs else 6_000), queries=5, way=20)
    if method in ("nearest-neighbour", "finetune"):
        return Training(loop=loop(steps=20_000 if photographs else 6_000))
    return Training(loop=loop(steps=30_000 if photographs else 3_000), meta_batch_size=4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demo:
    """A training run that fits into the demo's minutes."""

    method: str = "meta-lstm"
    data: str = OMNIGLOT
    way: int = 5
    shot: int = 1
    settings: tuple[str, ...] = ("hidden=4", "rate=0.1")
    loop: dict[str, Any] = dataclasses.field(
        default_factory=lambda: {
            "steps": 500,
            "meta_batch_size": 2,
            "learning_rate": 3e-3,
            "validate_every": 250,
            "validation_problems": 100,
            "checkpoint_every": None,
        }
    )


DEMO = Demo()
