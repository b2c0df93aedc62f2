"""The files that are learned from and asked about: class folders, and queries."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..datasets.images import SUFFIXES, ImageStore, hidden
from ..errors import InnerloopError
from .predictions import printable


def classes_of(support: Path) -> dict[str, list[Path]]:
    """Class → its images, by name."""
    if not support.exists():
        raise InnerloopError(f"The support folder {support} does not exist.")
    wanted = "a folder with one folder of images for each class is wanted"
    if not support.is_dir():
        raise InnerloopError(f"The support set {support} is a file; {wanted}.")
    try:
        inside = sorted(support.iterdir(), key=_natural)
    except OSError as error:
        raise InnerloopError(
            f"The support folder {support} cannot be read: {error.strerror}."
        ) from error
    folders = [place for place in inside if place.is_dir() and not hidden(place.name)]
    if not folders:
        raise InnerloopError(f"The support folder {support} has no folders in it; {wanted}.")
    classes = {folder.name: _images_in(folder) for folder in folders}
    for name, files in classes.items():
        if not files:
            raise InnerloopError(
                f"The class folder {name} in {support} has no images ({', '.join(SUFFIXES)})."
            )
    return classes


def _images_in(folder: Path) -> list[Path]:
    found = [folder / name for name in ImageStore(folder).names if not hidden(name)]
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[str | int]:
    """What paths are sorted by: 2.png comes before 10.png."""
    # Text and numbers take turns, so that like is compared with like.
    parts = re.split("([0-9]+)", path.as_posix())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def queries_of(query: Path) -> list[Path]:
    if query.is_file():
        return [query]
    if not query.is_dir():
        raise InnerloopError(
            f"There are no queries at {query}: it does not exist. Give a folder of images, or an "
            "image file."
        )
    files = _images_in(query)
    if not files:
        raise InnerloopError(
            f"The query folder {query} has no images ({', '.join(SUFFIXES)}), nor have the "
            "folders inside it."
        )
    return files


def check_way(way: int | None, support: Path, classes: Sequence[str]) -> None:
    """Raises `InnerloopError` where there is one class, or another number than `way`."""
    if len(classes) < 2:
        raise InnerloopError(
            f"The support folder {support} has one class, {classes[0]}; there must be two or more "
            "to tell apart."
        )
    if way is not None and way != len(classes):
        named = f": {', '.join(classes)}" if len(classes) <= 10 else ""
        raise InnerloopError(
            f"This learner tells exactly {way} classes apart; {support} has {len(classes)} class "
            f"folders{named}. Give {way}, or a learner that takes any number (protonet, say)."
        )


def check_apart(support: Sequence[Path], queries: Sequence[Path], query: Path) -> None:
    """What was learned from is no question: a right answer to it would say nothing."""
    known = {os.path.realpath(file) for file in support}
    common = [file for file in queries if os.path.realpath(file) in known]
    if common:
        raise InnerloopError(
            f"{len(common)} of the {len(queries)} query images in {query} are support images too "
            f"(the first is {common[0]}); queries have to be others."
            if query.is_dir()
            else f"The query {query} is a support image; it has to be another."
        )


def check_whole(damaged: dict[Path, str], files: int, what: str) -> None:
    """Raises `InnerloopError` where any image could not be read; `what` says of which kind."""
    if len(damaged) == 1:
        raise InnerloopError(next(iter(damaged.values())))
    if damaged:
        names = [printable(str(file)) for file in damaged]
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise InnerloopError(
            f"{len(names)} of the {files} {what} images cannot be read: "
            f"{', '.join(names[:10])}{more}."
        )


def check_outside(out: Path, *inputs: Path) -> None:
    """Raises `InnerloopError` where `out` is in one of the folders that images are read from.

    The pictures written to it would be queries, or a class, the next time.
    """
    for folder in inputs:
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise InnerloopError(
                f"The output folder {out} is in {folder}, where images are looked for; give one "
                "elsewhere.",
                arguments=("out",),
            )
