"""What a few-shot run is asked, whole: one nested dataclass from the command line to the loop."""

import dataclasses
from typing import Annotated

from ...fewshot.augment import Augmentation
from ...fewshot.training import EpisodeSettings
from ...runtime.settings import Count, Range, Seed, check
from ..settings import Choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeShape:
    """What is drawn in meta-training."""

    way: Annotated[int, Range(at_least=2)] = 5
    """Classes in an episode."""
    shot: Count = 1
    """Images of each class to learn from."""
    queries: Count = 15
    """Images of each class to answer for."""
    training_way: Annotated[int, Range(at_least=2)] | None = None
    """Classes in an episode of training, as many as there are at most. Methods that only compare
    learn better from many; others have `way`, as with None."""
    batch_size: Count = 64
    """Images of a batch, for methods that are trained on all classes jointly."""
    batch_each: Count = 1
    """Images of each class of such a batch; with 1 they are drawn whatever their class."""

    def __post_init__(self):
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShotSettings:
    """A run: which method is trained on which images, and how.

    Raises:
        SettingsError: A setting has another type, or is out of its range.
    """

    method: Choice
    """The few-shot method."""
    backbone: Choice = dataclasses.field(default_factory=lambda: Choice("conv4"))
    """The network that embeds images."""
    data: Choice = dataclasses.field(default_factory=lambda: Choice("omniglot"))
    """The dataset."""
    episodes: EpisodeShape = dataclasses.field(default_factory=EpisodeShape)
    """What is drawn in meta-training."""
    augment: Augmentation = dataclasses.field(default_factory=Augmentation)
    """Random changes of training images."""
    loop: EpisodeSettings = dataclasses.field(default_factory=EpisodeSettings)
    """The loop of meta-training."""
    seed: Seed = 0
    """The same seed gives the same numbers on the same machine."""
    init_from: str | None = None
    """The learner to begin with: a shipped learner's name, a file, or a run's folder, of any
    method with the same backbone. None to begin at random."""
    teacher: str | None = None
    """A learner whose opinions of the images `joint` learns beside the labels: a shipped
    learner's name, a file, or a run's folder, of any method with an embedding that stays."""

    def __post_init__(self):
        check(self)
