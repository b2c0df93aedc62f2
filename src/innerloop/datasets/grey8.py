"""Several datasets as small grey images in ten classes: for tasks of a few seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from ..errors import SettingsError
from .cifar10 import load_cifar10
from .miniimagenet import SIDE as MINIIMAGENET_SIDE, MiniImageNet
from .mnist import load_mnist
from .omniglot import load_omniglot

SIDE = 8
CLASSES = 10
_CHARACTERS = 20  # That an alphabet must have, to give enough images.
IMAGES = 4000
"""How many images of a dataset are kept: the first ones of each class, as many of each."""


class Grey8(NamedTuple):
    """Images with grey values 0 … 255, and their classes 0 … 9. Classes take turns."""

    images: UInt8[np.ndarray, "images side side"]
    labels: UInt8[np.ndarray, " images"]


def load_grey8(source: str, data_dir: str | Path | None = None, side: int = SIDE) -> Grey8:
    """`IMAGES` training images of a dataset, in grey, averaged over areas to 8×8 pixels.

    Args:
        source: mnist (digits); omniglot (a class is one of the first ten alphabets with 20
            characters or more); cifar10; miniimagenet (the first ten classes for training).
        data_dir: The folder that holds the data, for all but omniglot.
        side: Height and width of the images, where they are not to have 8 pixels.

    Raises:
        InnerloopError: There is no such source, or its data is not to be had.
    """
    if source not in SOURCES:
        raise SettingsError("source", source, f"one of {', '.join(SOURCES)}")
    images, labels = SOURCES[source](data_dir)
    places = _in_turns(labels)
    return Grey8(shrunk(images[places], side), labels[places].astype(np.uint8))


def shrunk(
    images: UInt8[np.ndarray, "images length length *channels"], side: int = SIDE
) -> UInt8[np.ndarray, "images side side"]:
    """Square images in grey at `side`×`side`: the mean of the area under each pixel, rounded."""
    grey = images.astype(np.float32)
    if grey.ndim == 4:
        grey = grey.mean(axis=-1)
    across = _areas(grey.shape[1], side)
    return np.rint(across @ grey @ across.T).astype(np.uint8)


def _areas(length: int, side: int) -> Float[np.ndarray, "side length"]:
    """The weight of each of `length` pixels in the mean under each of `side` in their place."""
    edges = np.arange(side + 1) * (length / side)
    pixels = np.arange(length)
    low, high = edges[:-1, None], edges[1:, None]
    covered = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    return (covered / (length / side)).astype(np.float32)


def _in_turns(labels: np.ndarray) -> np.ndarray:
    """The places of the first images of each class, one of each class after another."""
    each = IMAGES // CLASSES
    return np.stack([np.flatnonzero(labels == kind)[:each] for kind in range(CLASSES)], 1).ravel()


def _mnist(data_dir: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    data = load_mnist(data_dir)
    return data.train_images, data.train_labels


def _cifar10(data_dir: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    data = load_cifar10(data_dir)
    return data.train_images, data.train_labels


def _omniglot(data_dir: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    data = load_omniglot("train", rotations=False)
    alphabets = [name.split("/")[0] for name in data.names]
    large = [name for name in dict.fromkeys(alphabets) if alphabets.count(name) >= _CHARACTERS]
    labels = np.repeat([large.index(name) if name in large else CLASSES for name in alphabets],
                       data.counts)  # fmt: skip
    # In random order, since the drawings of a character follow one another.
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(labels < CLASSES))
    return data.images[chosen], labels[chosen]


def _miniimagenet(data_dir: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    data = MiniImageNet("train", data_dir)
    order = list(dict.fromkeys(data.labels))
    labels = np.asarray([order.index(label) for label in data.labels])
    places = _in_turns(labels)
    size = (MINIIMAGENET_SIDE, MINIIMAGENET_SIDE)
    return data.store.images([data.names[place] for place in places], size), labels[places]


SOURCES: dict[str, Callable[[str | Path | None], tuple[np.ndarray, np.ndarray]]] = {
    "mnist": _mnist,
    "omniglot": _omniglot,
    "cifar10": _cifar10,
    "miniimagenet": _miniimagenet,
}
"""Where images come from, by name."""
