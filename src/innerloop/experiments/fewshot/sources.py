"""The images that episodes are drawn from, by the name or path that a user gives."""

from pathlib import Path

from ...datasets.class_folders import count_classes, load_class_folders
from ...datasets.class_images import ClassImages, Split
from ...datasets.miniimagenet import load_miniimagenet
from ...datasets.omniglot import load_omniglot
from ...errors import InnerloopError

OMNIGLOT, MINIIMAGENET = "omniglot", "miniimagenet"
NAMES = (OMNIGLOT, MINIIMAGENET)


def load_images(
    data: str,
    split: Split,
    *,
    data_dir: str | Path | None = None,
    side: int = 84,
    grey: bool = False,
    seed: int = 0,
) -> ClassImages:
    """The images of one split of "omniglot", "miniimagenet", or a folder or zip of class folders.

    `side`, `grey` and `seed` (which classes go into which split) are for the last. Raises
    `InnerloopError` where there is no such data.
    """
    if data == OMNIGLOT:
        return load_omniglot(split)
    if data == MINIIMAGENET:
        return load_miniimagenet(split, data_dir)
    _check_exists(data)
    return load_class_folders(data, split, side=side, grey=grey, seed=seed)


def check_way(data: str, way: int, seed: int = 0) -> None:
    """Raises `InnerloopError` where a split of a user's own folder has fewer classes than `way`.

    No image is read for it; `seed` is the one that classes are split with.
    """
    if data in NAMES:
        return
    _check_exists(data)
    of = count_classes(data, seed=seed)
    if min(of.values()) < way:
        raise InnerloopError(
            f"{data} has {sum(of.values())} classes, {of['train']} for training, "
            f"{of['validation']} for validation and {of['test']} for testing, and {way}-way "
            f"episodes need {way} in each. Add classes, choose a smaller way, or say which are "
            "which by folders train, validation and test."
        )


def _check_exists(data: str) -> None:
    if not Path(data).exists():
        raise InnerloopError(
            f"There is no data '{data}': give {OMNIGLOT}, {MINIIMAGENET}, or a folder or zip file "
            "with a folder of images for each class."
        )


def short_name(data: str) -> str:
    """What a learner's name calls its data."""
    return data if data in NAMES else Path(data).stem
