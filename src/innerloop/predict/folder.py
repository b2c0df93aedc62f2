"""A meta-learner put to one's own use: a folder of labelled images in, predictions out."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jaxtyping import UInt8

from ..errors import InnerloopError
from ..fewshot._base import MetaLearner
from ..fewshot.files import TrainingData, name_of
from ..fewshot.methods.pretrained import Pretrained
from ..fewshot.pretrained import CALIBRATION
from ..runtime.progress import counting
from ..runtime.promotion import usual_promotion
from .doubts import calibrate, softmax, strangeness
from .features import FeatureTable
from .inputs import check_apart, check_way, check_whole, classes_of, queries_of
from .judges import BATCH_SIZE, ByFeatures, Features, Judge, Logits, Support, judge_of
from .predictions import Predictions, printable
from .reading import ImageReader

SHOWN = 60
"""Queries whose images are kept to be looked at."""

Invert = Literal["auto", "yes", "no"]
MOST_TOGETHER = 512
"""Queries that may be normalised together: all are in memory at once."""
_SHOWN_SIDE = 96  # Pixels of images that are shown and not looked at by a learner.


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
    out, and named in the result. With two or more images of every class probabilities are
    calibrated on images that are left out in turn.

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
    if transductive:
        _check_together(queries_of(Path(query)), Path(query))
    shape, name = learner.shape, name_of(learner, trained_on)
    inverting = {"yes": "all", "no": "none"}.get(
        invert, "bright" if trained_on.dataset == "omniglot" else "none"
    )
    key = jax.random.key(seed)
    found = _predictions(
        _Way(
            name=name,
            way=learner.way,
            reader=ImageReader(shape.side, shape.channels, inverting),  # pyright: ignore[reportArgumentType]
            judge=lambda given: judge_of(learner, given, transductive=transductive, key=key),
            validated=lambda shot: validated(learner, shot),
            together=transductive,
        ),
        Path(support),
        Path(query),
        progress,
    )
    return dataclasses.replace(found, transductive=transductive, seed=seed)


@usual_promotion()
def adapt_features(
    features: str | Path, support: str | Path, query: str | Path, *, progress: bool = False
) -> Predictions:
    """As `adapt_folder`, with features that are in a file: those of CLIP or DINO, for instance.

    A ridge regression is fitted to the features of the support images, scaled to length 1.

    Args:
        features: An .npz file with `names`, the names of the image files, text [n], and
            `features`, numbers [n, width]. A name holds as many folders of the file's path as
            it takes to tell it from others.
        support: A folder with a folder of images for each class.
        query: A folder of images, or one image file.
        progress: Count the queries in a bar on standard error.

    Returns:
        The class of every query, with probabilities.

    Raises:
        InnerloopError: As `adapt_folder`; or the file of features is damaged, has numbers that
            are not finite, or lacks an image.

    Example:
        >>> from innerloop import predict
        >>> found = predict.adapt_features("clip.npz", "mine", "unknown")  # doctest: +SKIP
    """
    table = FeatureTable(features)
    way = _Way(
        name=f"features-{table.path.stem}",
        way=None,
        reader=ImageReader(_SHOWN_SIDE, 3),
        judge=lambda given: ByFeatures(table, given),
    )
    return _predictions(way, Path(support), Path(query), progress)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Way:
    """How images are named.

    Attributes:
        name: What does it.
        way: How many classes there have to be; None for any number.
        reader: Reads the images.
        judge: Learns from a support set.
        validated: Shot → the temperature and the calibration error on validation episodes.
        together: Ask for all queries at once.
    """

    name: str
    way: int | None
    reader: ImageReader
    judge: Callable[[Support], Judge]
    validated: Callable[[int], tuple[float, float] | None] = lambda shot: None
    together: bool = False


def _predictions(way: _Way, support: Path, query: Path, progress: bool) -> Predictions:
    classes = classes_of(support)
    check_way(way.way, support, list(classes))
    queries = queries_of(query)
    files = [file for images in classes.values() for file in images]
    check_apart(files, queries, query)
    images, inverted, damaged = way.reader(files)
    check_whole(damaged, len(files), "support")
    counts = [len(images) for images in classes.values()]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    judge = way.judge(Support(files, images, labels, len(classes)))
    calibration = calibrate(judge, labels, way.validated(min(counts)))
    answers = _answer(judge, queries, way, progress)
    if not answers.queries:
        check_whole(answers.unreadable, len(queries), "query")
    _check_finite(answers, way.name, support)
    strange = None
    if judge.features is not None and answers.features is not None:
        strange = strangeness(judge.features, labels, answers.features)
    return Predictions(
        learner=way.name,
        classes=tuple(printable(name) for name in classes),
        names=tuple(printable(file.as_posix()) for file in answers.queries),
        probabilities=softmax(answers.logits / calibration.temperature).astype(np.float32),
        support=images,
        support_labels=labels,
        shown=answers.shown,
        inverted=inverted + answers.inverted,
        transductive=False,
        seed=0,
        unreadable=tuple(printable(file.as_posix()) for file in answers.unreadable),
        calibration=calibration,
        strangeness=strange,
    )


def validated(learner: MetaLearner, shot: int) -> tuple[float, float] | None:
    """The temperature and the calibration error that validation episodes gave, or None.

    Those of the nearest number of shots, where it is a learner that has some.
    """
    if not isinstance(learner, Pretrained):
        return None
    return CALIBRATION[min(CALIBRATION, key=lambda each: abs(each - shot))]


def _check_together(queries: Sequence[Path], query: Path) -> None:
    if len(queries) > MOST_TOGETHER:
        raise InnerloopError(
            f"{query} has {len(queries)} images; at most {MOST_TOGETHER} can be normalised "
            "together. Give fewer, or judge them one by one.",
            arguments=("transductive",),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """What is said of the queries that could be read."""

    queries: list[Path]
    logits: Logits
    features: Features | None
    shown: UInt8[np.ndarray, "shown side side channels"]
    inverted: int
    unreadable: dict[Path, str]


def _answer(judge: Judge, queries: Sequence[Path], way: _Way, progress: bool) -> _Answers:
    """The logits of every query, a batch at a time."""
    batch = len(queries) if way.together else BATCH_SIZE
    logits: list[Logits] = []
    features: list[Features | None] = []
    shown, unreadable, inverted = list[np.ndarray](), dict[Path, str](), 0
    with counting(len(queries), shown=progress) as bar:
        for start in range(0, len(queries), batch):
            files = queries[start : start + batch]
            images, changed, damaged = way.reader(files)
            inverted += changed
            unreadable |= damaged
            bar.update(len(files))
            if not len(images):
                continue
            shown.append(images[: max(0, SHOWN - sum(map(len, shown)))])
            found = judge([file for file in files if file not in damaged], images)
            logits.append(found[0])
            features.append(found[1])
    known = [each for each in features if each is not None]
    return _Answers(
        queries=[file for file in queries if file not in unreadable],
        logits=np.concatenate(logits) if logits else np.zeros((0, 0), np.float32),
        features=np.concatenate(known) if known else None,
        shown=np.concatenate(shown) if shown else np.zeros((0, 0, 0, 0), np.uint8),
        inverted=inverted,
        unreadable=unreadable,
    )


def _check_finite(answers: _Answers, name: str, support: Path) -> None:
    finite = np.all(np.isfinite(answers.logits), axis=1)
    if not np.all(finite):
        raise InnerloopError(
            f"{name} gives {answers.queries[int(np.argmin(finite))]} probabilities that are no "
            f"finite numbers: it cannot learn from the images in {support}."
        )
