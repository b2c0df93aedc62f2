"""Images grouped by class: what few-shot problems are drawn from."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from .cache import cached_array
from .images import ImageStore, convert_all

Split = Literal["train", "validation", "test"]
"""No class is in two of them: a learner is tested on classes it has never seen."""


@dataclasses.dataclass(frozen=True, eq=False)
class ClassImages:
    """The images of some classes, one class after another.

    Raises `InnerloopError` where the counts and names do not fit the images or each other.
    """

    images: UInt8[np.ndarray, "images height width channels"]
    """0 … 255, those of the first class first; perhaps a read-only memory map."""
    counts: tuple[int, ...]
    """How many images each class has, one or more."""
    names: tuple[str, ...]
    """What each class is called; all different."""

    def __post_init__(self):
        if len(self.names) != len(self.counts):
            raise InnerloopError(
                f"There are {len(self.names)} names for {len(self.counts)} classes; each class "
                "needs one."
            )
        seen = set()
        for name, count in zip(self.names, self.counts, strict=True):
            if name in seen:
                raise InnerloopError(f"Two classes are called '{name}'; names must differ.")
            if count < 1:
                raise InnerloopError(
                    f"The class '{name}' has {count} images; it needs one or more."
                )
            seen.add(name)
        if sum(self.counts) != len(self.images):
            raise InnerloopError(
                f"The classes' counts add up to {sum(self.counts)}, but there are "
                f"{len(self.images)} images."
            )

    @property
    def starts(self) -> tuple[int, ...]:
        """The index of each class's first image."""
        return tuple(itertools.accumulate(self.counts, initial=0))[:-1]


def from_files(
    name: str,
    store: ImageStore,
    classes: Mapping[str, Sequence[str]],
    shape: tuple[int, int, int],
    convert: Callable[[str], np.ndarray],
    progress: bool,
) -> ClassImages:
    """The images of `classes` (class → files in `store`), each of them `convert(file)`.

    They are converted once, to a memory map in the user's cache that is called `name`;
    whatever else `convert` depends on belongs into that name. `shape` is that of one image.
    Raises what `convert` raises.
    """
    files = [file for group in classes.values() for file in group]
    full = (len(files), *shape)

    def build() -> np.ndarray:
        array = np.zeros(full, np.uint8)
        convert_all(files, convert, array, name, progress)
        return array

    images = cached_array(name, full, build, source=store.identity(files))
    return ClassImages(images, tuple(len(group) for group in classes.values()), tuple(classes))
