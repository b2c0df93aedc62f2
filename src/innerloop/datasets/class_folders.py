"""Any images in folders of one class each, in three splits."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import InnerloopError
from ..registry import register
from ._base import Dataset
from .class_images import ClassImages, Split, from_files
from .images import SUFFIXES, ImageStore, decode, hidden, square

_CALLED: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}
_LEAST = 3  # Classes: one for each split.
_SMALLEST, _SIDE = 28, 84  # Pixels of an image's side, where nobody says.

Classes = dict[str, list[str]]
"""Class → its image files."""


def load_class_folders(
    path: str | Path,
    split: Split,
    *,
    side: int = 84,
    grey: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> ClassImages:
    """Load the images of one split of a folder of class folders, or of a zip file of the same.

    - Where `path` has the folders train/, validation/ (or val/) and test/ with class folders
      in them, those are the splits.
    - Or else, where it has train.txt, validation.txt (or val.txt) and test.txt, those list
      the classes of each split, one a line; a class that none of them lists is left out.
    - Or else the classes are shuffled with `seed` and split: 64 % are for training, 16 % for
      validation, 20 % for testing, at least one each.

    A class has the images in its folder and in folders inside that. Where everything lies in
    one folder, as in many zip files, that one is looked into. Hidden files are ignored.

    An image is the middle square of its file, upright and white where it is transparent. Images
    are decoded once and mapped from the user's cache ever after.

    Args:
        path: The folder or zip file. Links inside a folder are followed.
        split: "train", "validation" or "test". No class is in two of them.
        side: Height and width that images are brought to, in pixels; 1 or more.
        grey: Whether images are [side, side, 1] and not [side, side, 3].
        seed: Shuffles the classes, where the folder does not say which belong to which split.
        progress: Whether to count images on stderr while they are decoded.

    Returns:
        The images, uint8, class by class.

    Raises:
        InnerloopError: A split or a class is missing, a class is empty or in two splits, there are
            fewer than three classes, or an image is damaged.

    Example:
        >>> import innerloop
        >>> data = innerloop.datasets.load_class_folders("photographs", "train")  # doctest: +SKIP
    """
    if side < 1:
        raise InnerloopError(f"Images cannot be {side} pixels wide; one or more are wanted.")
    store = ImageStore(path)
    return from_files(
        f"squares-{split}-{side}-{'grey' if grey else 'rgb'}",
        store,
        _splits(store, seed)[split],
        (side, side, 1 if grey else 3),
        lambda name: square(store.read(name), f"{name} in {store.path}", side, grey),
        progress,
    )


def count_classes(path: str | Path, *, seed: int = 0) -> dict[Split, int]:
    """How many classes each split has, without a look at the images.

    Raises `InnerloopError` as `load_class_folders` does.
    """
    return {split: len(classes) for split, classes in _splits(ImageStore(path), seed).items()}


def usual_side(path: str | Path) -> int:
    """The side in pixels that images of a folder or zip file are brought to where nobody says.

    It is the shorter side of the first image, from 28 to 84. An enlarged image shows nothing new
    and costs more. 28 pixels are enough for four poolings.

    Raises `InnerloopError` as `load_class_folders` does.
    """
    store = ImageStore(path)
    first = next(files[0] for files in _splits(store, 0)["train"].values())
    sides = decode(store.read(first), f"{first} in {store.path}").shape[:2]
    return max(_SMALLEST, min(_SIDE, *sides))


@register("class-folders")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassFolders(Dataset):
    """A folder or zip file with a folder of images for each class; see `load_class_folders`.

    Args:
        path: The folder or zip file.
        side: Height and width that images are brought to, in pixels.
        grey: Take images without their colour.
        seed: Decides which classes are trained on, where the folder does not say so.

    Example:
        >>> import innerloop
        >>> dataset = innerloop.datasets.ClassFolders(path="photographs", side=32)
        >>> images = dataset.load("train")  # doctest: +SKIP
    """

    path: str
    side: int = 84
    grey: bool = False
    seed: int = 0

    def load(self, split: Split) -> ClassImages:
        return load_class_folders(self.path, split, side=self.side, grey=self.grey, seed=self.seed)

    def count_classes(self) -> dict[Split, int]:
        return count_classes(self.path, seed=self.seed)


def _splits(store: ImageStore, seed: int) -> dict[Split, Classes]:
    base = _base(store)
    splits = _by_folder(store, base) or _by_list(store, base) or _by_chance(store, base, seed)
    _check(store, splits)
    return splits


def _base(store: ImageStore) -> str:
    """Where the class folders are: "", or the one folder that everything lies in, and "/"."""
    base = ""
    while True:
        inside = list(_classes(store, base))
        if len(inside) != 1 or inside[0] in _names() or not _classes(store, f"{base}{inside[0]}/"):
            return base
        base += f"{inside[0]}/"


def _names() -> list[str]:
    return [name for names in _CALLED.values() for name in names]


def _classes(store: ImageStore, base: str) -> Classes:
    """The folders in `base`, by name, with the images of each, by name."""
    classes: Classes = {}
    for folder in store.folders:
        name = folder.removeprefix(base)
        if folder.startswith(base) and "/" not in name and not hidden(name):
            classes[name] = []
    for file in store.names:
        name, slash, rest = file.removeprefix(base).partition("/")
        if file.startswith(base) and slash and name in classes and not hidden(rest):
            classes[name].append(file)
    return classes


def _by_folder(store: ImageStore, base: str) -> dict[Split, Classes] | None:
    inside = {name: _classes(store, f"{base}{name}/") for name in _names()}
    chosen = _chosen(store, base, [name for name in inside if inside[name]], "/")
    return None if chosen is None else {split: inside[name] for split, name in chosen.items()}


def _by_list(store: ImageStore, base: str) -> dict[Split, Classes] | None:
    # Beside the class folders, or beside the one folder that they all lie in.
    for place in dict.fromkeys((base, "")):
        there = [name for name in _names() if f"{place}{name}.txt" in store.files]
        chosen = _chosen(store, place, there, ".txt")
        if chosen is not None:
            return _listed(store, _classes(store, base), place, chosen)
    return None


def _listed(
    store: ImageStore, classes: Classes, place: str, chosen: dict[Split, str]
) -> dict[Split, Classes]:
    splits: dict[Split, Classes] = {}
    for split, name in chosen.items():
        where = f"{place}{name}.txt in {store.path}"
        text = store.read(f"{place}{name}.txt").decode("utf-8-sig", errors="replace")
        splits[split] = {}
        for wanted in filter(None, map(str.strip, text.splitlines())):
            if wanted not in classes:
                raise InnerloopError(
                    f"{where} lists the class '{wanted}', and there is no folder of that name."
                )
            if wanted in splits[split]:
                raise InnerloopError(f"{where} lists the class '{wanted}' twice; once is enough.")
            splits[split][wanted] = classes[wanted]
        if not splits[split]:
            raise InnerloopError(f"{where} lists no class; one or more are wanted, one a line.")
    return splits


def _chosen(
    store: ImageStore, base: str, there: Sequence[str], ending: str
) -> dict[Split, str] | None:
    """Of the names that are there the one of each split; None where there are none at all."""
    if not there:
        return None
    chosen: dict[Split, str] = {}
    for split, names in _CALLED.items():
        found = [name for name in names if name in there]
        if not found:
            missing = " or ".join(f"{base}{name}{ending}" for name in names)
            have = " and ".join(f"{base}{name}{ending}" for name in there)
            raise InnerloopError(f"{store.path} has {have}, but no {missing}.")
        chosen[split] = found[0]
    return chosen


def _by_chance(store: ImageStore, base: str, seed: int) -> dict[Split, Classes]:
    classes = _classes(store, base)
    if len(classes) < _LEAST:
        folders = "class folder" if len(classes) == 1 else "class folders"
        raise InnerloopError(
            f"{store.path} has {len(classes)} {folders}; {_LEAST} or more are wanted, one for "
            "training, one for validation and one for testing."
        )

    # The order of digests is the same with every version of NumPy.
    def digest(name: str) -> bytes:
        return hashlib.sha256(os.fsencode(f"{seed} {name}")).digest()

    shuffled = sorted(classes, key=digest)
    test = max(1, round(0.2 * len(classes)))
    seen = test + max(1, round(0.16 * len(classes)))
    parts: dict[Split, list[str]] = {
        "train": shuffled[seen:],
        "validation": shuffled[test:seen],
        "test": shuffled[:test],
    }
    return {
        split: {name: classes[name] for name in sorted(part)} for split, part in parts.items()
    }  # fmt: skip


def _check(store: ImageStore, splits: dict[Split, Classes]) -> None:
    """No class is empty, and none is in two splits."""
    places: dict[str, Split] = {}
    for split, classes in splits.items():
        for name, files in classes.items():
            if not files:
                raise InnerloopError(
                    f"The class folder {name} in {store.path} has no images "
                    f"({', '.join(SUFFIXES)})."
                )
            if name in places:
                raise InnerloopError(
                    f"The class '{name}' is in two splits of {store.path}, {places[name]} and "
                    f"{split}; few-shot learning is tested on classes that are seen nowhere else."
                )
            places[name] = split
