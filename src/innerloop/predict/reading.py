"""Image files as arrays, and which of them cannot be read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from ..datasets.images import LARGEST_FILE, convert_all, square
from ..errors import InnerloopError
from ..runtime.files import read_bytes

_BRIGHT = 127  # An image whose mean is above it is dark on bright.


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Reads image files as a learner takes them.

    Attributes:
        side: Height and width of the images, in pixels.
        channels: Their channels: 1 for grey, 3 for colour.
        invert: Which images to invert: all, none, or those that are bright on the whole.
    """

    side: int
    channels: int
    invert: Literal["all", "none", "bright"] = "none"

    def __call__(
        self, files: Sequence[Path]
    ) -> tuple[UInt8[np.ndarray, "n side side channels"], int, dict[Path, str]]:
        """(the images that can be read, how many were inverted, what is wrong with others)."""
        failed = dict[str, str]()
        size = (self.side, self.side, self.channels)

        def one(name: str) -> UInt8[np.ndarray, "side side channels"]:
            try:
                content = read_bytes(name, LARGEST_FILE)
                return square(content, name, self.side, self.channels == 1)
            except InnerloopError as error:
                failed[name] = str(error)
                return np.zeros(size, np.uint8)

        images = np.empty((len(files), *size), np.uint8)
        convert_all([str(file) for file in files], one, images, "", False)
        whole = np.asarray([str(file) not in failed for file in files], bool)
        images = images[whole]
        wrong = self.to_invert(images)
        images[wrong] = 255 - images[wrong]
        damaged = {file: failed[str(file)] for file in files if str(file) in failed}
        return images, int(np.sum(wrong)), damaged

    def to_invert(
        self, images: UInt8[np.ndarray, "n side side channels"]
    ) -> Bool[np.ndarray, " n"]:
        """Which of the images have to be inverted."""
        if self.invert == "bright":
            return np.mean(images, axis=(1, 2, 3)) > _BRIGHT
        return np.full(len(images), self.invert == "all")
