"""MNIST, from the four idx files that its authors published."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from . import files

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_FILES = (
    files.DataFile(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        _MIRRORS,
    ),
    files.DataFile(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "md5:d53e105ee54ea40749a09fcbcd1e9432",
        _MIRRORS,
    ),
    files.DataFile(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "md5:9fb629c4189551a2d022fa330f9573f3",
        _MIRRORS,
    ),
    files.DataFile(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "md5:ec29112dd5afa0611ce80d1b7f02629c",
        _MIRRORS,
    ),
)

_MOST_AXES = 8


class MNISTData(NamedTuple):
    """60,000 training and 10,000 test digits, and the labels of both.

    Attributes:
        train_images: Grey values 0 … 255, uint8 [60000, 28, 28].
        train_labels: Digits 0 … 9, uint8 [60000].
        test_images: As `train_images`, [10000, 28, 28].
        test_labels: As `train_labels`, [10000].
    """

    train_images: UInt8[np.ndarray, "60000 28 28"]
    train_labels: UInt8[np.ndarray, " 60000"]
    test_images: UInt8[np.ndarray, "10000 28 28"]
    test_labels: UInt8[np.ndarray, " 10000"]


def load_mnist(data_dir: str | Path | None = None) -> MNISTData:
    """Load MNIST: 70,000 handwritten digits of 28×28 pixels.

    Args:
        data_dir: The folder with the four published files, gzipped or not, or with a subfolder
            `mnist` that has them; by default INNERLOOP_DATA. The user's cache is looked into too,
            and downloaded to.

    Returns:
        Images, uint8 [n, 28, 28], and labels, uint8 [n], for training and testing.

    Raises:
        InnerloopError: A file is damaged, or is neither here nor to be had.

    Example:
        >>> import innerloop
        >>> data = innerloop.datasets.load_mnist()  # doctest: +SKIP
    """
    return MNISTData(*(parse_idx(content) for content in files.read(_FILES, "mnist", data_dir)))


def parse_idx(content: bytes) -> UInt8[np.ndarray, "..."]:
    """An array of unsigned bytes from the idx format.

    The header is two zero bytes, the type (8: unsigned byte), the number of dimensions, and
    each dimension as a big-endian 32-bit integer. Raises `InnerloopError` for any other
    content, for more than 8 dimensions, or where its length does not match its header.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or not content[3]:
        raise InnerloopError("This is no idx file of unsigned bytes: its first bytes are wrong.")
    if content[3] > _MOST_AXES:
        raise InnerloopError(
            f"This idx file has {content[3]} dimensions; up to {_MOST_AXES} can be read."
        )
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4))
    size = 1
    for length in shape:
        size *= length
    if len(content) != start + size:
        raise InnerloopError(
            f"This idx file should hold {size} bytes for its shape {shape}; "
            f"it holds {max(0, len(content) - start)}."
        )
    try:
        return np.frombuffer(content, np.uint8)[start:].reshape(shape)
    except ValueError as error:  # No bytes, and yet lengths whose product is too large.
        raise InnerloopError(f"This idx file cannot have the shape {shape}.") from error
