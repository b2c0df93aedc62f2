"""What a meta-learner says of a folder of images: kept, written as a table, shown as text."""

import csv
import dataclasses
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int, UInt8

from ..errors import InnerloopError
from ..plots.sheet import shorten


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a learner says of query images, from a support set that it was given.

    `probabilities` are softmaxes of its logits, whatever the method makes these of.
    `support` and `shown`, the first queries, are the images as the learner saw them: the
    middle square, inverted where that was done; `inverted` counts these among all images.
    """

    learner: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    """The paths of the queries that could be read."""
    probabilities: Float32[np.ndarray, "queries way"]
    support: UInt8[np.ndarray, "support side side channels"]
    support_labels: Int[np.ndarray, " support"]
    shown: UInt8[np.ndarray, "shown side side channels"]
    inverted: int
    transductive: bool
    seed: int
    unreadable: tuple[str, ...] = ()
    """The paths of the queries that are no images, or damaged; nothing is said of them."""

    @property
    def labels(self) -> list[str]:
        """The most probable class of each query."""
        return [self.classes[number] for number in np.argmax(self.probabilities, axis=1)]


def write_predictions(
    predictions: Predictions, folder: Path, format: Literal["csv", "json"] = "csv"
) -> Path:
    """Every query's path, label and probabilities, as predictions.csv or .json in `folder`.

    The columns are path, label, probability (of that label) and P(CLASS) for every class; of
    queries that could not be read all but the path are empty.
    Returns the file's path; raises `InnerloopError` where it cannot be written.
    """
    path = folder / f"predictions.{format}"
    rows = zip(predictions.names, predictions.labels, predictions.probabilities, strict=True)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if format == "json":
                json.dump(_as_json(predictions), file, indent=2)
                file.write("\n")
            else:
                writer = csv.writer(file, lineterminator="\n")
                of = [f"P({name})" for name in predictions.classes]
                writer.writerow(["path", "label", "probability", *of])
                for name, label, row in rows:
                    texts = [f"{value:.6f}" for value in (row.max(), *row)]
                    writer.writerow([name, label, *texts])
                blank = [""] * (2 + len(predictions.classes))
                writer.writerows([name, *blank] for name in predictions.unreadable)
    except OSError as error:
        raise InnerloopError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def _as_json(predictions: Predictions) -> dict[str, Any]:
    rows = zip(predictions.names, predictions.labels, predictions.probabilities, strict=True)
    return {
        "learner": predictions.learner,
        "classes": list(predictions.classes),
        "support": np.bincount(predictions.support_labels).tolist(),
        "inverted": predictions.inverted,
        "transductive": predictions.transductive,
        "seed": predictions.seed,
        "unreadable": list(predictions.unreadable),
        "predictions": [
            {
                "path": name,
                "label": label,
                "probability": float(row.max()),
                "probabilities": {
                    of: float(value) for of, value in zip(predictions.classes, row, strict=True)
                },
            }
            for name, label, row in rows
        ],
    }


def table(predictions: Predictions, rows: int = 10, classes: int = 6) -> str:
    """The first `rows` predictions as lines of text, with every class's probability.

    Where there are more than so many `classes`, with that of the label alone.
    """
    few = len(predictions.classes) <= classes
    head = ["query", "label", "probability"]
    head += [shorten(name, 12) for name in predictions.classes] if few else []
    lines = [head]
    for name, label, row in zip(
        predictions.names[:rows], predictions.labels, predictions.probabilities, strict=False
    ):
        values = (row.max(), *(row if few else ()))
        lines.append([shorten(name, 48), shorten(label, 24), *(f"{value:.3f}" for value in values)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    left = len(predictions.names) - rows
    return "\n".join([*text, *([f"… and {left:,} more"] if left > 0 else [])])


def printable(name: str) -> str:
    """A file's name as text, even where its bytes are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
