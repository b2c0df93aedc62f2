"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people (Lake et al. 2015)."""

import dataclasses
import hashlib
import json
import lzma
import math
from importlib import resources

import numpy as np
from jaxtyping import Float32, UInt8

from ..errors import InnerloopError
from ..registry import register
from ._base import Dataset
from .class_images import ClassImages, Split

SIDE = 28
DRAWINGS = 20
TURNS = ("rot090", "rot180", "rot270")

_CHARACTERS = 1623
_TEST = 423  # The last characters in order.
_VALIDATION = ("Hebrew", "Mkhedruli_(Georgian)", "Armenian", "Early_Aramaic", "Bengali")
_PUBLISHED_SIDE = 105
_PUBLISHED_BYTES = 14  # Eight pixels in each.
_MOST_MEMORY = 256 << 20  # For unpacking.
_CHUNK = 64  # Drawings at a time, so that they stay in the processor's cache.


def load_omniglot(split: Split, *, rotations: bool = True) -> ClassImages:
    """Load the characters of one split: 20 images each, 28×28×1, ink 255 on 0.

    The split is the one of Vinyals et al. (2016, arXiv:1606.04080) as Snell et al. (2017,
    arXiv:1703.05175) published it: in the order of the published alphabets the last 423
    characters are for testing, the 172 of five alphabets for validation, and the other 1,028
    for training. A class is called "Hebrew/character01". With `rotations` every character
    turned counter-clockwise by 90, 180 and 270 degrees is a class too, called
    "Hebrew/character01/rot090" and so on: all characters upright come first, then all of
    them turned by 90 degrees, …

    The images come with the package, as published: 105×105 pixels of one bit. A pixel here
    is the part of its area that is ink, times 255 and rounded; nothing is stretched.

    Args:
        split: "train", "validation" or "test".
        rotations: Whether turned characters are classes too, four times as many.

    Returns:
        The images, uint8.

    Raises:
        InnerloopError: The packed file is damaged.

    Example:
        >>> import innerloop
        >>> data = innerloop.datasets.load_omniglot("validation", rotations=False)
        >>> data.images.shape, len(data.names)
        ((3440, 28, 28, 1), 172)
    """
    drawings, names = _published()
    chosen = _split(names)[split]
    small = _shrunk(drawings[chosen].reshape(-1, *drawings.shape[2:]))
    upright = [names[index] for index in chosen]
    images, called = [small], list(upright)
    for quarters, turn in enumerate(TURNS if rotations else (), 1):
        images.append(np.rot90(small, quarters, axes=(1, 2)))
        called += [f"{name}/{turn}" for name in upright]
    together = np.concatenate(images)[..., None]
    return ClassImages(together, (DRAWINGS,) * len(called), tuple(called))


@register("omniglot")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Omniglot(Dataset):
    """Handwritten characters of 50 alphabets, 28×28, white on black.

    Args:
        rotations: Take each character in four rotations, as four classes.

    Example:
        >>> import innerloop
        >>> dataset = innerloop.datasets.Omniglot(rotations=False)
        >>> dataset.load("validation").images.shape
        (3440, 28, 28, 1)

    References:
        Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program
        induction" (2015); see `load_omniglot` for the splits.
    """

    rotations: bool = True

    def load(self, split: Split) -> ClassImages:
        return load_omniglot(split, rotations=self.rotations)


def _published() -> tuple[UInt8[np.ndarray, "characters 20 14 105"], list[str]]:
    """All drawings as tools/pack_omniglot.py lays them out, and the characters' names."""
    folder = resources.files("innerloop") / "datasets" / "packed"
    try:
        description = json.loads((folder / "omniglot.json").read_text("utf-8"))
        content = (folder / "omniglot.xz").read_bytes()
        if hashlib.sha256(content).hexdigest() != description["sha256"]:
            raise ValueError("its digest is wrong")
        names = _names(description["alphabets"])
        shape = (len(names), DRAWINGS, _PUBLISHED_BYTES, _PUBLISHED_SIDE)
        return np.frombuffer(_unpacked(content, math.prod(shape)), np.uint8).reshape(shape), names
    except Exception as error:  # Whatever is wrong, the cure is the same.
        raise InnerloopError(
            f"Omniglot in {folder} is damaged ({error}); install innerloop again."
        ) from error


def _names(alphabets: dict[str, int]) -> list[str]:
    counts = list(alphabets.values())
    if not all(type(count) is int and 0 < count <= _CHARACTERS for count in counts):
        raise ValueError("its alphabets have no characters")
    if sum(counts) != _CHARACTERS or not set(_VALIDATION) <= set(alphabets):
        raise ValueError("its alphabets are others")
    return [
        f"{alphabet}/character{number:02}"
        for alphabet, count in alphabets.items()
        for number in range(1, count + 1)
    ]


def _unpacked(content: bytes, size: int) -> bytes:
    """The `size` bytes in `content`; never more are unpacked, whatever it holds."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MOST_MEMORY)
    pixels = stream.decompress(content, size + 1)
    if len(pixels) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"it does not hold {size} bytes")
    return pixels


def _split(names: list[str]) -> dict[Split, list[int]]:
    """The indices of each split's characters, in order."""
    alphabets = [name.split("/")[0] for name in names]
    places = range(len(names) - _TEST)
    return {
        "train": [place for place in places if alphabets[place] not in _VALIDATION],
        "validation": [place for place in places if alphabets[place] in _VALIDATION],
        "test": list(range(len(places), len(names))),
    }


def _shrunk(packed: UInt8[np.ndarray, "drawings 14 105"]) -> UInt8[np.ndarray, "drawings 28 28"]:
    """The drawings at 28×28: the mean of the 3.75×3.75 pixels under each, ink 255."""
    across = _areas(SIDE, _PUBLISHED_SIDE)
    small = np.empty((len(packed), SIDE, SIDE), np.uint8)
    for start in range(0, len(packed), _CHUNK):
        rows = packed[start : start + _CHUNK].transpose(0, 2, 1)
        ink = np.unpackbits(rows, axis=-1, count=_PUBLISHED_SIDE).astype(np.float32)
        means = np.matmul(across, ink) @ across.T
        small[start : start + _CHUNK] = np.rint(255 * means)
    return small


def _areas(small: int, large: int) -> Float32[np.ndarray, "small large"]:
    """The weight of each of `large` pixels in each of `small` that cover the same length."""
    edges = np.arange(small + 1) * (large / small)
    pixels = np.arange(large)
    ends = np.minimum(edges[1:, None], pixels + 1)
    starts = np.maximum(edges[:-1, None], pixels)
    return (np.maximum(ends - starts, 0) * (small / large)).astype(np.float32)
