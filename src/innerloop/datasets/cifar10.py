"""CIFAR-10, from its published archive or from folders of images."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from ..runtime.files import cache_folder
from . import archives, files
from .images import ImageStore
from .pickles import load_arrays

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE = 32
ARCHIVE = "cifar-10-python.tar.gz"
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_PUBLISHED = "md5:c58f30108f718f92721af3b95e74349a"
_LARGEST_BATCH = 64 << 20


class CIFAR10Data(NamedTuple):
    """Training and test images, RGB 0 … 255, and labels 0 … 9 in the order of `CLASSES`."""

    train_images: UInt8[np.ndarray, "train 32 32 3"]
    train_labels: UInt8[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test 32 32 3"]
    test_labels: UInt8[np.ndarray, " test"]


def load_cifar10(data_dir: str | Path | None = None) -> CIFAR10Data:
    """CIFAR-10 from `data_dir`, INNERLOOP_DATA or the user's cache, or else downloaded.

    In each of those places, and in a subfolder `cifar10` of the first two, the published
    `cifar-10-python.tar.gz` is looked for, then a zip file with train/<class>/ and
    test/<class>/ folders of 32×32 images whose name begins with `cifar10`, then those
    folders themselves; `data_dir` may also be such an archive or folder itself. Raises
    `InnerloopError` where none is found, or what is found is damaged or of another layout.
    """
    named = files.data_folder(data_dir)
    if named is not None and not named.exists():
        raise InnerloopError(f"The data folder {named} does not exist.")
    if named is not None and named.is_file():
        return read_cifar10(named)
    cache = cache_folder() / "cifar10"
    for place in [cache] if named is None else [named, named / "cifar10", cache]:
        found = _inside(place)
        if found is not None:
            return read_cifar10(found)
    return read_cifar10(files.download(ARCHIVE, _MIRRORS, _PUBLISHED, cache, [ARCHIVE]))


def read_cifar10(path: Path) -> CIFAR10Data:
    """CIFAR-10 from the published archive, or from a zip or folder of class folders."""
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _from_folders(path)
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _from_archive(path)
    raise InnerloopError(
        f"{path} is no CIFAR-10 that can be read: give {ARCHIVE}, or a zip or folder with "
        "train/<class>/ and test/<class>/ in it."
    )


def _inside(place: Path) -> Path | None:
    if (place / ARCHIVE).is_file():
        return place / ARCHIVE
    zips = sorted(place.glob("cifar10*.zip"))
    if zips:
        return zips[0]
    return place if all((place / "train" / name).is_dir() for name in CLASSES) else None


def _from_archive(path: Path) -> CIFAR10Data:
    """The published archive: five pickled training batches and one of test images."""
    train: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    test: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def wanted(inside: str) -> bool:
        return PurePosixPath(inside).name.startswith(("data_batch_", "test_batch"))

    for inside, content in archives.members(path, wanted, _LARGEST_BATCH):
        name = PurePosixPath(inside).name
        into = test if name.startswith("test") else train
        if name in into:
            raise InnerloopError(f"{path} has {name} twice; once is enough.")
        into[name] = _batch(content, f"{name} in {path}")
    if not train or len(test) != 1:
        raise InnerloopError(
            f"{path} is no CIFAR-10 archive: it must hold data_batch_1 … data_batch_5 and "
            f"test_batch, and holds {len(train)} training and {len(test)} test batches."
        )
    images, labels = zip(*(train[name] for name in sorted(train)), strict=True)
    return CIFAR10Data(np.concatenate(images), np.concatenate(labels), *test["".join(test)])


def _batch(content: bytes, what: str) -> tuple[np.ndarray, np.ndarray]:
    batch = load_arrays(content, what)
    data = batch.get(b"data") if isinstance(batch, dict) else None
    labels = batch.get(b"labels") if isinstance(batch, dict) else None
    pixels = 3 * SIDE * SIDE
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != pixels
        or not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels)
    ):
        raise InnerloopError(
            f"{what} is no batch of CIFAR-10: it must hold 'data', bytes of shape (n, {pixels}), "
            "and 'labels', n whole numbers from 0 to 9."
        )
    images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(labels, np.uint8)


def _from_folders(path: Path) -> CIFAR10Data:
    store = ImageStore(path)
    parts: list[np.ndarray] = []
    for split in ("train", "test"):
        names, labels = [], []
        for label, kind in enumerate(CLASSES):
            inside = [name for name in store.names if f"/{name}".find(f"/{split}/{kind}/") >= 0]
            if not inside:
                raise InnerloopError(
                    f"{path} has no images in {split}/{kind}/; CIFAR-10 needs train/<class>/ and "
                    f"test/<class>/ for {', '.join(CLASSES)}."
                )
            names += inside
            labels += [label] * len(inside)
        parts += [store.images(names, (SIDE, SIDE)), np.asarray(labels, np.uint8)]
    return CIFAR10Data(*parts)
