"""A meta-learner put to one's own use: a folder of labelled images in, predictions out."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt8

from ..datasets.images import LARGEST_FILE, SUFFIXES, ImageStore, convert_all, hidden, square
from ..errors import InnerloopError
from ..fewshot._base import MetaLearner, Predictor, Shape
from ..fewshot.episode import Labelled
from ..fewshot.files import TrainingData, name_of
from ..runtime.files import read_bytes
from ..runtime.promotion import usual_promotion
from .predictions import Predictions, printable

SHOWN = 60
"""Queries whose images are kept to be looked at."""

Invert = Literal["auto", "yes", "no"]
BATCH_SIZE = 64
"""Queries at a time, so that thousands need no more memory than these."""
MOST_TOGETHER = 512
"""Queries that may be normalised together: all are in memory at once."""
_BRIGHT = 127  # An image whose mean is above it is dark on bright.


@usual_promotion()
def adapt_folder(
    learner: MetaLearner,
    trained_on: TrainingData,
    support: str | Path,
    query: str | Path,
    *,
    transductive: bool = False,
    seed: int = 0,
    invert: Invert = "auto",
    progress: bool = False,
) -> Predictions:
    """Learn from a folder of labelled images, and name those of another.

    Hidden files are ignored, and so is what is no image by its ending. Images become as the
    learner takes them: the middle square, shrunk or enlarged. Queries that cannot be read are left
    out, and named in the result.

    Args:
        learner: A trained learner.
        trained_on: What it learned on.
        support: A folder with a folder for each class, with its images in it or in folders
            inside that, any number of them.
        query: A folder of images, looked through with all folders inside it, or one image file.
        transductive: Normalise queries by their common statistics, not one by one.
        seed: For learners that draw at random.
        invert: Which images to invert: "yes" for all, "no" for none. "auto" concerns learners of
            Omniglot, which expect white ink on black: it inverts the images that are bright on the
            whole.
        progress: Count the queries in a bar on standard error.

    Returns:
        The class of every query, with probabilities.

    Raises:
        InnerloopError: A folder is missing or empty; there are too few classes, or another number
            than the learner tells apart; a support image or every query is damaged, or a query is a
            support image too; a probability is no number.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import jax
        >>> from PIL import Image
        >>> from innerloop import fewshot, predict
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=3, classes=2)
        >>> backbone = fewshot.Conv4(side=4, channels=3, filters=2, blocks=1)
        >>> learner = fewshot.make_learner("protonet", shape, backbone, key=jax.random.key(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     support, query = Path(folder, "support"), Path(folder, "query.png")
        ...     for colour in ("red", "blue"):
        ...         (support / colour).mkdir(parents=True)
        ...         Image.new("RGB", (8, 8), colour).save(support / colour / "one.png")
        ...     Image.new("RGB", (8, 8), "navy").save(query)
        ...     found = predict.adapt_folder(learner, fewshot.TrainingData(), support, query)
        >>> found.labels
        ['blue']
    """
    support, query = Path(support), Path(query)
    classes = _classes(support)
    _check_way(learner, support, list(classes))
    queries = _queries(query)
    files = [file for images in classes.values() for file in images]
    _check_apart(files, queries, query)
    if transductive and len(queries) > MOST_TOGETHER:
        raise InnerloopError(
            f"{query} has {len(queries)} images; at most {MOST_TOGETHER} can be normalised "
            "together. Give fewer, or judge them one by one.",
            arguments=("transductive",),
        )
    name, images_of = name_of(learner, trained_on), _Images(learner.shape, invert, trained_on)
    images, inverted, damaged = images_of(files)
    _check_whole(damaged, len(files), "support")
    counts = [len(images) for images in classes.values()]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    labelled = Labelled(jnp.asarray(images), jnp.asarray(labels))
    predict = _adapted(learner, labelled, len(classes), jax.random.key(seed))
    answers = _answer(predict, queries, images_of, transductive, progress)
    if not answers.queries:
        _check_whole(answers.unreadable, len(queries), "query")
    _check_finite(answers, name, support)
    return Predictions(
        learner=name,
        classes=tuple(printable(name) for name in classes),
        names=tuple(printable(file.as_posix()) for file in answers.queries),
        probabilities=answers.probabilities,
        support=images,
        support_labels=labels,
        shown=answers.shown,
        inverted=inverted + answers.inverted,
        transductive=transductive,
        seed=seed,
        unreadable=tuple(printable(file.as_posix()) for file in answers.unreadable),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """What is said of the queries that could be read."""

    queries: list[Path]
    probabilities: Float[np.ndarray, "queries way"]
    shown: UInt8[np.ndarray, "shown side side channels"]
    inverted: int
    unreadable: dict[Path, str]


def _answer(
    predict: Predictor,
    queries: Sequence[Path],
    images_of: "_Images",
    transductive: bool,
    progress: bool,
) -> _Answers:
    """The classes' probabilities for every query, a batch at a time."""
    from tqdm import tqdm

    # Few queries are no full batch; powers of two, so that few sizes are compiled.
    few = 1 << (len(queries) - 1).bit_length()
    batch = len(queries) if transductive else min(BATCH_SIZE, few)
    probabilities, shown, unreadable, inverted = [], [], dict[Path, str](), 0
    with tqdm(total=len(queries), unit=" images", disable=None if progress else True) as bar:
        for start in range(0, len(queries), batch):
            files = queries[start : start + batch]
            some, changed, damaged = images_of(files)
            inverted += changed
            unreadable |= damaged
            bar.update(len(files))
            if not len(some):
                continue
            shown.append(some[: max(0, SHOWN - sum(map(len, shown)))])
            # Alone, an image is judged the same whatever else there is: batches are filled up.
            more = 0 if transductive else batch - len(some)
            filled = np.pad(some, [(0, more), *[(0, 0)] * 3])
            found = _probabilities(predict, jnp.asarray(filled), transductive)
            probabilities.append(np.asarray(found)[: len(some)])
    empty = np.zeros((0, 0), np.float32), np.zeros((0, 0, 0, 0), np.uint8)
    return _Answers(
        queries=[file for file in queries if file not in unreadable],
        probabilities=np.concatenate(probabilities) if probabilities else empty[0],
        shown=np.concatenate(shown) if shown else empty[1],
        inverted=inverted,
        unreadable=unreadable,
    )


def _check_finite(answers: _Answers, name: str, support: Path) -> None:
    finite = np.all(np.isfinite(answers.probabilities), axis=1)
    if not np.all(finite):
        raise InnerloopError(
            f"{name} gives {answers.queries[int(np.argmin(finite))]} probabilities that are no "
            f"finite numbers: it cannot learn from the images in {support}."
        )


@eqx.filter_jit
def _adapted(learner: MetaLearner, support: Labelled, way: int, key: PRNGKeyArray) -> Predictor:
    return learner.adapt(support, way, key=key)


@eqx.filter_jit
def _probabilities(
    predict: Predictor, images: UInt8[Array, "n side side channels"], transductive: bool
) -> Float[Array, "n way"]:
    return jax.nn.softmax(predict(images, transductive=transductive))


def _classes(support: Path) -> dict[str, list[Path]]:
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


def _queries(query: Path) -> list[Path]:
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


def _check_way(learner: MetaLearner, support: Path, classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise InnerloopError(
            f"The support folder {support} has one class, {classes[0]}; there must be two or more "
            "to tell apart."
        )
    way = learner.way
    if way is not None and way != len(classes):
        named = f": {', '.join(classes)}" if len(classes) <= 10 else ""
        raise InnerloopError(
            f"This learner tells exactly {way} classes apart; {support} has {len(classes)} class "
            f"folders{named}. Give {way}, or a learner that takes any number (protonet, say)."
        )


def _check_apart(support: Sequence[Path], queries: Sequence[Path], query: Path) -> None:
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


def _check_whole(damaged: dict[Path, str], files: int, what: str) -> None:
    if len(damaged) == 1:
        raise InnerloopError(next(iter(damaged.values())))
    if damaged:
        names = [printable(str(file)) for file in damaged]
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise InnerloopError(
            f"{len(names)} of the {files} {what} images cannot be read: "
            f"{', '.join(names[:10])}{more}."
        )


@dataclasses.dataclass(frozen=True)
class _Images:
    """Reads image files as a learner takes them."""

    shape: Shape
    invert: Invert
    trained_on: TrainingData

    def __call__(
        self, files: Sequence[Path]
    ) -> tuple[UInt8[np.ndarray, "n side side channels"], int, dict[Path, str]]:
        """(the images that can be read, how many were inverted, what is wrong with others)."""
        shape, failed = self.shape, dict[str, str]()
        size = (shape.side, shape.side, shape.channels)

        def one(name: str) -> UInt8[np.ndarray, "side side channels"]:
            try:
                content = read_bytes(name, LARGEST_FILE)
                return square(content, name, shape.side, shape.channels == 1)
            except InnerloopError as error:
                failed[name] = str(error)
                return np.zeros(size, np.uint8)

        images = np.empty((len(files), *size), np.uint8)
        convert_all([str(file) for file in files], one, images, "", False)
        whole = np.asarray([str(file) not in failed for file in files], bool)
        images = images[whole]
        wrong = self.to_invert(images)
        images[wrong] = 255 - images[wrong]
        damaged = {file: failed[str(file)] for file in files if str(file) in failed}
        return images, int(np.sum(wrong)), damaged

    def to_invert(
        self, images: UInt8[np.ndarray, "n side side channels"]
    ) -> Bool[np.ndarray, " n"]:
        """Which of the images have to be inverted."""
        if self.invert == "auto" and self.trained_on.dataset == "omniglot":
            return np.mean(images, axis=(1, 2, 3)) > _BRIGHT
        return np.full(len(images), self.invert == "yes")


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
