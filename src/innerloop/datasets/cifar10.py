"""CIFAR-10, from its published archive or from folders of images."""

import hashlib
import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from ..runtime.files import cache_folder, read_bytes
from . import files
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
MD5 = "c58f30108f718f92721af3b95e74349a"
"""Of the published archive. A second file of that digest cannot be made."""
_LARGEST = 256 << 20  # Bytes; the archive has 170 million.


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
    return read_cifar10(files.download(ARCHIVE, _MIRRORS, f"md5:{MD5}", cache, [ARCHIVE]))


def read_cifar10(path: Path, *, digest: str = MD5) -> CIFAR10Data:
    """CIFAR-10 from the published archive, whose MD5 is `digest`, or from class folders."""
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _from_folders(path)
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _from_archive(path, digest)
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


def _from_archive(path: Path, digest: str) -> CIFAR10Data:
    """The published archive: five pickled training batches and one of test images."""
    content = read_bytes(path, _LARGEST)
    if hashlib.md5(content).hexdigest() != digest:
        raise InnerloopError(
            f"{path} is not the {ARCHIVE} that is published: its digest is wrong. Remove it and "
            "try again; images of your own are read from train/<class>/ and test/<class>/."
        )
    train: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    test: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            file = archive.extractfile(member)
            if file is not None and name.startswith(("data_batch_", "test_batch")):
                into = test if name.startswith("test") else train
                into[name] = _batch(file.read(), f"{name} in {path}")
    images, labels = zip(*(train[name] for name in sorted(train)), strict=True)
    return CIFAR10Data(np.concatenate(images), np.concatenate(labels), *test["test_batch"])


def _batch(content: bytes, what: str) -> tuple[np.ndarray, np.ndarray]:
    batch = load_arrays(content, what)
    images = batch[b"data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(batch[b"labels"], np.uint8)


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
