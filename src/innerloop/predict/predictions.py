"""What a meta-learner says of a folder of images: kept, written as a table, shown as text."""

import csv
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int, UInt8

from ..plots.sheet import shorten
from ..runtime.files import write_output
from ..runtime.names import fit_cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a learner says of query images, from a support set that it was given.

    Attributes:
        learner: The learner's name.
        classes: The names of the classes, in the order of the labels.
        names: The paths of the queries that could be read.
        probabilities: Softmaxes of the learner's logits, whatever the method makes these of;
            float32 [queries, way].
        support: The support images as the learner saw them: the middle square, inverted where that
            was done; uint8 [n, side, side, channels].
        support_labels: The class of each support image, from 0 to way − 1, [n].
        shown: The first queries, as the learner saw them; uint8 [m, side, side, channels].
        inverted: How many of all images were inverted.
        transductive: Whether queries were normalised by their common statistics.
        seed: What the learner drew by.
        unreadable: The paths of the queries that are no images, or damaged; nothing is said of
            them.

    Example:
        >>> import numpy as np
        >>> from innerloop import predict
        >>> predictions = predict.Predictions(
        ...     learner="protonet-images-2w-1s",
        ...     classes=("cat", "dog"),
        ...     names=("who.png",),
        ...     probabilities=np.asarray([[0.25, 0.75]], np.float32),
        ...     support=np.zeros((2, 4, 4, 3), np.uint8),
        ...     support_labels=np.asarray([0, 1]),
        ...     shown=np.zeros((1, 4, 4, 3), np.uint8),
        ...     inverted=0,
        ...     transductive=False,
        ...     seed=0,
        ... )
        >>> predictions.labels
        ['dog']
    """

    learner: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: Float32[np.ndarray, "queries way"]
    support: UInt8[np.ndarray, "support side side channels"]
    support_labels: Int[np.ndarray, " support"]
    shown: UInt8[np.ndarray, "shown side side channels"]
    inverted: int
    transductive: bool
    seed: int
    unreadable: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The most probable class of each query."""
        return [self.classes[number] for number in np.argmax(self.probabilities, axis=1)]


def write_predictions(
    predictions: Predictions, folder: Path, format: Literal["csv", "json"] = "csv"
) -> Path:
    """Write every query's path, label and probabilities as predictions.csv or predictions.json.

    The columns are path, label, probability (of that label) and P(CLASS) for every class. Of
    queries that could not be read all but the path are empty.

    Args:
        predictions: What `adapt_folder` returned.
        folder: The folder to write into, which exists.
        format: "csv" or "json".

    Returns:
        The file's path.

    Raises:
        InnerloopError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from innerloop import predict
        >>> predictions = predict.Predictions(
        ...     learner="protonet-images-2w-1s",
        ...     classes=("cat", "dog"),
        ...     names=("who.png",),
        ...     probabilities=np.asarray([[0.25, 0.75]], np.float32),
        ...     support=np.zeros((2, 4, 4, 3), np.uint8),
        ...     support_labels=np.asarray([0, 1]),
        ...     shown=np.zeros((1, 4, 4, 3), np.uint8),
        ...     inverted=0,
        ...     transductive=False,
        ...     seed=0,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(predict.write_predictions(predictions, Path(folder)).read_text())
        path,label,probability,P(cat),P(dog)
        who.png,dog,0.750000,0.250000,0.750000
        <BLANKLINE>
    """
    as_text = _as_json if format == "json" else _as_csv
    return write_output(folder / f"predictions.{format}", as_text(predictions))


def _as_csv(predictions: Predictions) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    of = [f"P({name})" for name in predictions.classes]
    writer.writerow(["path", "label", "probability", *map(fit_cell, of)])
    rows = zip(predictions.names, predictions.labels, predictions.probabilities, strict=True)
    for name, label, row in rows:
        texts = [f"{value:.6f}" for value in (row.max(), *row)]
        writer.writerow([fit_cell(name), fit_cell(label), *texts])
    blank = [""] * (2 + len(predictions.classes))
    writer.writerows([fit_cell(name), *blank] for name in predictions.unreadable)
    return file.getvalue()


def _as_json(predictions: Predictions) -> str:
    rows = zip(predictions.names, predictions.labels, predictions.probabilities, strict=True)
    content = {
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
    return json.dumps(content, indent=2) + "\n"


def table(predictions: Predictions, rows: int = 10, classes: int = 6) -> str:
    """The first `rows` predictions as lines of text, with every class's probability.

    Where there are more classes than `classes`, a line has the probability of its label alone.
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
