"""What a dataset of class folders is: images by class, in three splits."""

import abc
from typing import ClassVar

from .class_images import ClassImages, Split


class Dataset(abc.ABC):
    """Images that are grouped by class, for few-shot learning.

    A dataset of one's own is a subclass that is registered by `innerloop.register`. Its settings
    are the keyword arguments of its constructor, each with an attribute of the same name: numbers
    and texts. An argument `data_dir` is no setting; it gets the folder that a user names.

    Example:
        >>> import innerloop
        >>> import numpy as np
        >>> @innerloop.register("noise")
        ... class Noise(innerloop.datasets.Dataset):
        ...     def load(self, split):
        ...         pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
        ...         return innerloop.datasets.ClassImages(pixels, (4, 4), ("one", "other"))
    """

    registry_kind: ClassVar[str] = "dataset"

    @abc.abstractmethod
    def load(self, split: Split) -> ClassImages:
        """The images of one split.

        Args:
            split: "train", "validation" or "test". No class is in two of them.
        """

    def count_classes(self) -> dict[Split, int] | None:
        """How many classes each split has, where that is known without reading images."""
        return None
