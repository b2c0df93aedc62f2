"""`innerloop fewshot adapt`: learn from your own labelled images, and predict others."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..errors import InnerloopError
from ._common import Folder, fresh_folder, prepare, say
from ._fewshot import File, Named
from ._settings import parse

SUMMARY = "Learn from your own few labelled images, and predict the classes of others."
Input = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Learner = Annotated[
    tyro.conf.Positional[str | None],
    tyro.conf.arg(metavar="[LEARNER]", help_behavior_hint="(default: by what the images are)"),
]
Rows = Annotated[
    Path | None, tyro.conf.arg(metavar="FILE.npz", help_behavior_hint="(default: none)")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapt:
    """Learn from your own few labelled images, and predict the classes of others.

    Prints the first predictions and writes all of them, with every class's probability, and
    sheet.png, a picture of what was learned from and what was predicted.
    """

    learner: Learner = None
    """A shipped learner's name (`innerloop fewshot list`), a file, or a run's folder. Without one,
    ink on paper and photographs each have a learner of their own."""
    method: File = None
    """The class of the learner's method, where it is your own."""
    backbone: File = None
    """The class of the learner's backbone, where it is your own."""
    features: Rows = None
    """Features of your own, in place of a learner: `names` of image files and `features`, a row
    for each."""
    support: Input
    """The folder to learn from, with a folder of images for each class."""
    query: Input
    """The folder of the images to predict, with all folders in it, or one image file."""
    out: Folder = None
    """The folder to write into."""
    format: Literal["csv", "json"] = "csv"
    """How predictions are written."""
    reject: bool = False
    """Leave out what looks like none of the classes."""
    transductive: bool = False
    """Normalise all queries by their common statistics."""
    seed: int = 0
    """For learners that draw at random."""
    invert: Literal["auto", "yes", "no"] = "auto"
    """Which images to invert: all, none, or (auto), for a learner of Omniglot alone, those that
    are bright on the whole."""


def main(words: Sequence[str]) -> None:
    """Run the command."""
    asked = parse(Adapt, words, command="fewshot adapt")
    if asked.features is not None and asked.learner is not None:
        raise InnerloopError(
            f"Both the learner {asked.learner} and features are given; one of them names images.",
            arguments=("features",),
        )
    prepare()
    from ..plots.sheet import draw_sheet
    from ..predict.predictions import reject, table, write_predictions
    from ..runtime.folders import removed_if_empty

    predict, name = _by_features(asked) if asked.features is not None else _by_learner(asked)
    with removed_if_empty(_folder(asked, name)) as folder:
        predictions = predict()
        if asked.reject:
            predictions = reject(predictions)
        say(table(predictions))
        _remark(predictions, asked.invert)
        written = write_predictions(predictions, folder, asked.format)
        draw_sheet(predictions, folder / "sheet.png")
    say(f"Written to {folder}: {written.name}, sheet.png")


def _folder(asked: Adapt, name: str) -> Path:
    """The folder to write into, outside those that are read."""
    from ..predict.inputs import check_outside

    folder = asked.out or fresh_folder(f"adapt-{name}")
    check_outside(folder, asked.support, asked.query)
    return folder


def _by_features(asked: Adapt) -> tuple[Any, str]:
    """(what gives the predictions, the name of what does)."""
    from ..predict.folder import adapt_features

    assert asked.features is not None
    given = asked.features, asked.support, asked.query
    return lambda: adapt_features(*given, progress=True), f"features-{asked.features.stem}"


def _by_learner(asked: Adapt) -> tuple[Any, str]:
    """(what gives the predictions, the name of what does)."""
    from ..fewshot.files import name_of
    from ..predict.choosing import choose_learner
    from ..predict.folder import adapt_folder

    chosen = asked.learner
    if chosen is None:
        choice = choose_learner(asked.support)
        say(f"Taken: {choice.learner}, as {choice.reason}.")
        chosen = choice.learner
    named = Named(learner=chosen, method=asked.method, backbone=asked.backbone)
    learner, trained_on = named.load()

    def predict() -> Any:
        return adapt_folder(
            learner,
            trained_on,
            asked.support,
            asked.query,
            transductive=asked.transductive,
            seed=asked.seed,
            invert=asked.invert,
            progress=True,
        )

    return predict, name_of(learner, trained_on)


def _remark(predictions: Any, invert: str) -> None:
    """Say what was done to images, what was left out, and how far to trust the rest."""
    images = len(predictions.names) + len(predictions.support)
    if predictions.inverted and invert == "auto":
        say(
            f"{predictions.inverted} of the {images} images were bright on the whole and were "
            "inverted: this learner expects white ink on black (--invert no leaves them alone)."
        )
    if predictions.unreadable:
        say(f"Left out, as they cannot be read: {', '.join(predictions.unreadable)}.")
        heic = (".heic", ".heif", ".avif")
        if any(name.lower().endswith(heic) for name in predictions.unreadable):
            from ..datasets.images import CONVERT

            say(f"HEIC is not read; {CONVERT}.")
    if len(predictions.shown) < len(predictions.names):
        say(f"sheet.png shows the first {len(predictions.shown)} queries.")
    strange = int(predictions.strange.sum())
    if strange:
        done = "have no label" if predictions.rejecting else "have a label (--reject takes it away)"
        say(f"{strange} of {len(predictions.names)} look like none of the classes and {done}.")
    _trust(predictions.calibration)


def _trust(calibration: Any) -> None:
    """Say what the probabilities were calibrated on, and how well they then agree."""
    if calibration.source == "nothing":
        say(
            "Probabilities are not calibrated: that takes two or more support images of every "
            "class, or a learner with validation episodes."
        )
        return
    left_out = f"{calibration.images} left-out support images"
    on = calibration.source if calibration.source == "validation episodes" else left_out
    more = f" and {left_out}" if calibration.images and on != left_out else ""
    say(
        f"Probabilities are calibrated on {on}{more}; the expected calibration error on {on} is "
        f"{100 * calibration.error:.1f} %."
    )
