"""miniImageNet: 100 classes of 600 photographs of 84×84 pixels (Ravi & Larochelle 2017)."""

import csv
import dataclasses
import io
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError, SettingsError
from ..registry import register
from ..runtime.files import cache_folder
from . import class_images, files
from ._base import Dataset
from .class_images import ClassImages
from .images import ImageStore

SIDE = 84
LARGEST_LIST = 8 << 20
"""Bytes of a split's list; the longest of the published ones has 1.2 million."""
_SHOWN = 80  # Characters of a name in a message.
Split = Literal["train", "val", "test"]  # As the lists are called.


def load_miniimagenet(
    split: class_images.Split,
    data_dir: str | Path | None = None,
    progress: bool = True,
    *,
    side: int = SIDE,
) -> ClassImages:
    """Load all photographs of one split, in the order in which its list has the classes.

    They are decoded once and mapped from the user's cache ever after.

    Args:
        split: "train" (64 classes), "validation" (16) or "test" (20).
        data_dir: Where `miniimagenet.zip`, or a folder `miniimagenet` with train.csv, val.csv,
            test.csv and images/, lies; by default INNERLOOP_DATA and the user's cache. ImageNet's
            terms leave nothing to download.
        progress: Whether to count photographs on stderr while they are decoded.
        side: Height and width in pixels, 1 to 84: below 84 photographs are shrunk (Lanczos).

    Returns:
        The photographs, uint8, side×side×3.

    Raises:
        InnerloopError: They are not there, or of another layout, or damaged, or `side` is out of
            its range.

    Example:
        >>> import innerloop
        >>> data = innerloop.datasets.load_miniimagenet("train")  # doctest: +SKIP
    """
    if not 1 <= side <= SIDE:
        raise SettingsError("side", side, f"a whole number from 1 to {SIDE}")
    dataset = MiniImageNet("val" if split == "validation" else split, data_dir)
    classes: dict[str, list[str]] = {}
    for name, label in zip(dataset.names, dataset.labels, strict=True):
        classes.setdefault(label, []).append(name)
    if not classes:
        raise InnerloopError(f"The list of {dataset.store.path} for {split} names no photographs.")
    name = f"miniimagenet-{split}" + (f"-{side}" if side < SIDE else "")
    return class_images.from_files(
        name, dataset.store, classes, (side, side, 3),
        lambda file: _shrunk(dataset.store.image(file, (SIDE, SIDE)), side), progress,
    )  # fmt: skip


def _shrunk(pixels: UInt8[np.ndarray, "84 84 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    from PIL import Image

    if side == SIDE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


@register("miniimagenet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MiniImageNetDataset(Dataset):
    """100 classes of ImageNet with 600 photographs each, 84×84 in colour.

    Args:
        data_dir: The folder that holds the data; None for INNERLOOP_DATA or the cache.
        side: Height and width in pixels, 1 to 84: below 84 photographs are shrunk.

    Example:
        >>> import innerloop
        >>> dataset = innerloop.datasets.MiniImageNetDataset(data_dir="data")
        >>> images = dataset.load("train")  # doctest: +SKIP

    References:
        Vinyals et al., "Matching networks for one shot learning" (2016, arXiv:1606.04080), for the
        idea; Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017), for the
        classes and the splits.
    """

    data_dir: str | Path | None = None
    side: int = SIDE

    def load(self, split: class_images.Split) -> ClassImages:
        return load_miniimagenet(split, self.data_dir, side=self.side)


class MiniImageNet:
    """The photographs of one split, read when they are asked for.

    `names` are the files' names in the order of the split's list, and `labels` the class of
    each. The zip file `miniimagenet.zip`, or a folder `miniimagenet`, with train.csv,
    val.csv, test.csv and images/, is looked for in `data_dir` or INNERLOOP_DATA, in its
    subfolder `miniimagenet`, and in the user's cache; ImageNet's terms leave nothing to
    download. Raises `InnerloopError` where it is not there, or is of another layout.
    """

    def __init__(self, split: Split, data_dir: str | Path | None = None):
        self.store = ImageStore(_find(data_dir))
        places = {PurePosixPath(name).name: name for name in self.store.names}
        where = f"{split}.csv in {self.store.path}"
        content = self.store.read(f"{split}.csv")
        if len(content) > LARGEST_LIST:
            raise InnerloopError(f"{where} is larger than {LARGEST_LIST} bytes.")
        text = content.decode("utf-8", errors="replace")
        labels: dict[str, str] = {}
        try:
            for row in csv.DictReader(io.StringIO(text, newline=None), restval=""):
                name, label = row["filename"], row["label"]
                place = places[name]
                if not label:
                    raise InnerloopError(f"{where} gives {name} no label.")
                if place in labels:
                    raise InnerloopError(f"{where} lists {name} twice; once is enough.")
                labels[place] = label
        except csv.Error as error:
            raise InnerloopError(f"{where} is no CSV: {error}.") from error
        except KeyError as error:
            missing = repr(error.args[0])
            missing = missing if len(missing) <= _SHOWN else f"{missing[:_SHOWN]}…"
            raise InnerloopError(
                f"{self.store.path} is no miniImageNet: {split}.csv and images/ do not agree "
                f"({missing} is missing)."
            ) from error
        self.names, self.labels = list(labels), list(labels.values())


def _find(data_dir: str | Path | None) -> Path:
    named = files.data_folder(data_dir)
    cache = cache_folder() / "miniimagenet"
    if named is not None and named.is_file():
        return named
    for place in [cache] if named is None else [named, named / "miniimagenet", cache]:
        if (place / "miniimagenet.zip").is_file():
            return place / "miniimagenet.zip"
        if (place / "train.csv").is_file():
            return place
    raise InnerloopError(
        "miniImageNet is not here: put miniimagenet.zip (train.csv, val.csv, test.csv, images/) "
        "into the folder that data_dir or INNERLOOP_DATA names.",
        arguments=("data_dir",),
    )
