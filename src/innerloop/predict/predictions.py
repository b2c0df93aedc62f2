"""What a meta-learner says of a folder of images: kept, written as a table, shown as text."""

import csv
import dataclasses
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from ..errors import InnerloopError
from ..plots.sheet import shorten
from ..runtime.files import write_output
from ..runtime.names import fit_cell
from .doubts import Calibration, doubt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a learner says of query images, from a support set that it was given.

    Attributes:
        learner: The learner's name.
        classes: The names of the classes, in the order of the labels.
        names: The paths of the queries that could be read.
        probabilities: Softmaxes of the learner's logits over the temperature of `calibration`;
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
        calibration: What the temperature was fitted to, and how well probabilities then agree
            with accuracies.
        strangeness: How far each query is from the nearest class, [queries]; above 1 it looks
            like none of them. None where there are no features, or a class has one image alone.
        rejecting: Whether queries that look like none of the classes are given no label.

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
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    strangeness: Float[np.ndarray, " queries"] | None = None
    rejecting: bool = False

    @property
    def strange(self) -> Bool[np.ndarray, " queries"]:
        """Whether each query looks like none of the classes."""
        if self.strangeness is None:
            return np.zeros(len(self.names), bool)
        return self.strangeness > 1

    @property
    def rejected(self) -> Bool[np.ndarray, " queries"]:
        """Whether each query is given no label."""
        return self.strange & self.rejecting

    @property
    def labels(self) -> list[str]:
        """The most probable class of each query, or "" where it is rejected."""
        numbers = np.argmax(self.probabilities, axis=1)
        pairs = zip(numbers, self.rejected, strict=True)
        return ["" if rejected else self.classes[number] for number, rejected in pairs]

    @property
    def doubts(self) -> list[str]:
        """Of each query "or CLASS", where a second class has half the first one's probability.

        It is "none of the classes" where it looks like none, and "" where there is no doubt.
        """
        pairs = zip(self.probabilities, self.strange, strict=True)
        return [doubt(row, self.classes, bool(strange)) for row, strange in pairs]


def reject(predictions: Predictions) -> Predictions:
    """The same predictions, without labels where a query looks like none of the classes.

    Args:
        predictions: What `adapt_folder` or `adapt_features` returned.

    Raises:
        InnerloopError: Nothing is known of how far queries are from classes.

    Example:
        >>> from innerloop import predict
        >>> found = predict.adapt_features("clip.npz", "mine", "unknown")  # doctest: +SKIP
        >>> predict.reject(found).labels  # doctest: +SKIP
        ['cat', '', 'dog']
    """
    if predictions.strangeness is None:
        counts = np.bincount(predictions.support_labels)
        alone = predictions.classes[int(np.argmin(counts))]
        raise InnerloopError(
            f"What looks like none of the classes cannot be left out: the class {alone} has one "
            "support image, and two or more of every class are needed to know how much images of "
            "a class differ."
            if counts.min() < 2
            else f"What looks like none of the classes cannot be left out: {predictions.learner} "
            "compares no embeddings. Take another learner (protonet, say).",
            arguments=("reject",),
        )
    return dataclasses.replace(predictions, rejecting=True)


def write_predictions(
    predictions: Predictions, folder: Path, format: Literal["csv", "json"] = "csv"
) -> Path:
    """Write every query's path, label and probabilities as predictions.csv or predictions.json.

    The columns are path, label, probability (of that label), P(CLASS) for every class, and doubt.
    Label and probability of a rejected query are empty. Of queries that could not be read all but
    the path are empty.

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
        path,label,probability,P(cat),P(dog),doubt
        who.png,dog,0.750000,0.250000,0.750000,
        <BLANKLINE>
    """
    as_text = _as_json if format == "json" else _as_csv
    return write_output(folder / f"predictions.{format}", as_text(predictions))


def _as_csv(predictions: Predictions) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    of = [f"P({name})" for name in predictions.classes]
    writer.writerow(["path", "label", "probability", *map(fit_cell, of), "doubt"])
    for name, label, row, said in _rows(predictions):
        texts = [f"{value:.6f}" for value in row]
        best = f"{row.max():.6f}" if label else ""
        writer.writerow([fit_cell(name), fit_cell(label), best, *texts, fit_cell(said)])
    blank = [""] * (3 + len(predictions.classes))
    writer.writerows([fit_cell(name), *blank] for name in predictions.unreadable)
    return file.getvalue()


def _rows(
    predictions: Predictions,
) -> Iterator[tuple[str, str, Float32[np.ndarray, " way"], str]]:
    """(path, label, probabilities, doubt) of each query."""
    columns = predictions.names, predictions.labels, predictions.probabilities, predictions.doubts
    return zip(*columns, strict=True)


def _as_json(predictions: Predictions) -> str:
    content = {
        "learner": predictions.learner,
        "classes": list(predictions.classes),
        "support": np.bincount(predictions.support_labels).tolist(),
        "inverted": predictions.inverted,
        "transductive": predictions.transductive,
        "seed": predictions.seed,
        "calibration": dataclasses.asdict(predictions.calibration),
        "rejecting": predictions.rejecting,
        "unreadable": list(predictions.unreadable),
        "predictions": [
            {
                "path": name,
                "label": label or None,
                "probability": float(row.max()) if label else None,
                "probabilities": {
                    of: float(value) for of, value in zip(predictions.classes, row, strict=True)
                },
                "doubt": said,
            }
            for name, label, row, said in _rows(predictions)
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def table(predictions: Predictions, rows: int = 10, classes: int = 6) -> str:
    """The first `rows` predictions as lines of text, with every class's probability.

    Where there are more classes than `classes`, a line has the probability of its label alone.
    """
    few = len(predictions.classes) <= classes
    shown = list(itertools.islice(_rows(predictions), rows))
    doubtful = any(said for *_, said in shown)
    head = ["query", "label", "probability"]
    head += [shorten(name, 12) for name in predictions.classes] if few else []
    lines = [[*head, *(["doubt"] if doubtful else [])]]
    for name, label, row, said in shown:
        values = [f"{row.max():.3f}" if label else "–"]
        values += [f"{value:.3f}" for value in row] if few else []
        values += [shorten(said, 24)] if doubtful else []
        lines.append([shorten(name, 48), shorten(label or "–", 24), *values])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
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
