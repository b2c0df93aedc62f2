"""`innerloop fewshot adapt`: learn from your own labelled images, and predict others."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ._common import Folder, fresh_folder, prepare, say
from ._fewshot import Named
from ._settings import Flat, parse

SUMMARY = "Learn from your own few labelled images, and predict the classes of others."
Input = Annotated[Path, tyro.conf.arg(metavar="DIR")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapt:
    """Learn from your own few labelled images, and predict the classes of others.

    Prints the first predictions and writes all of them, with every class's probability, and
    sheet.png, a picture of what was learned from and what was predicted.
    """

    named: Annotated[Named, Flat]
    """The learner."""
    support: Input
    """The folder to learn from, with a folder of images for each class."""
    query: Input
    """The folder of the images to predict, with all folders in it, or one image file."""
    out: Folder = None
    """The folder to write into."""
    format: Literal["csv", "json"] = "csv"
    """How predictions are written."""
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
    prepare()
    from ..fewshot.files import name_of
    from ..plots.sheet import draw_sheet
    from ..predict.folder import adapt_folder, check_outside
    from ..predict.predictions import table, write_predictions
    from ..runtime.folders import writable

    learner, trained_on = asked.named.load()
    folder = asked.out or fresh_folder(f"adapt-{name_of(learner, trained_on)}")
    check_outside(folder, asked.support, asked.query)
    writable(folder)
    predictions = adapt_folder(
        learner,
        trained_on,
        asked.support,
        asked.query,
        transductive=asked.transductive,
        seed=asked.seed,
        invert=asked.invert,
        progress=True,
    )
    say(table(predictions))
    _remark(predictions, asked.invert)
    written = write_predictions(predictions, folder, asked.format)
    draw_sheet(predictions, folder / "sheet.png")
    say(f"Written to {folder}: {written.name}, sheet.png")


def _remark(predictions: Any, invert: str) -> None:
    """Say what was done to images, and what was left out."""
    images = len(predictions.names) + len(predictions.support)
    if predictions.inverted and invert == "auto":
        say(
            f"{predictions.inverted} of the {images} images were bright on the whole and were "
            "inverted: this learner expects white ink on black (--invert no leaves them alone)."
        )
    if predictions.unreadable:
        say(f"Left out, as they cannot be read: {', '.join(predictions.unreadable)}.")
    if len(predictions.shown) < len(predictions.names):
        say(f"sheet.png shows the first {len(predictions.shown)} queries.")
