"""How far predictions can be trusted: a temperature, and what looks like none of the classes."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ..fewshot.calibration import calibration_error, fit_temperature
from .judges import Features, Judge

_FOLDS = 5  # Parts of the support set that are left out in turn.
_BIN = 10  # Images in a bin of the calibration error, or more.
_DEVIATIONS = 1.64  # One in twenty of a normal distribution is further from its mean.
_NEAR = 0.5  # A second class with this share of the first one's probability is a doubt.


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What logits are divided by, and how probabilities then agree with accuracies.

    Attributes:
        temperature: What logits are divided by.
        source: What `error` was found on: validation episodes of the learner, support images that
            were left out in turn, or nothing.
        error: The expected calibration error there, from 0 to 1; None where there is none.
        images: How many support images were left out in turn.

    Example:
        >>> from innerloop import predict
        >>> predict.Calibration(0.5, "validation episodes", 0.01).images
        0
    """

    temperature: float = 1.0
    source: Literal["left-out support images", "validation episodes", "nothing"] = "nothing"
    error: float | None = None
    images: int = 0


def calibrate(
    judge: Judge, labels: Int[np.ndarray, " n"], validated: tuple[float, float] | None
) -> Calibration:
    """The temperature for a judge that has learned from a support set.

    With two or more images of every class it is fitted to images that are left out in turn, and
    kept near that of validation episodes where there were some.

    Args:
        judge: What has learned from the support set.
        labels: The class of each support image.
        validated: The temperature and the calibration error of validation episodes; None where
            there were none.
    """
    expected, error = (None, None) if validated is None else validated
    folds = _folds(labels)
    if folds:
        logits = np.concatenate([judge.without(out) for out in folds])
        truth = labels[np.concatenate(folds)]
        if np.all(np.isfinite(logits)):
            temperature = fit_temperature(logits, truth, expected)
            if error is not None:
                return Calibration(temperature, "validation episodes", error, len(truth))
            bins = max(1, min(10, len(truth) // _BIN))
            found = calibration_error(softmax(logits / temperature), truth, bins)
            return Calibration(temperature, "left-out support images", found, len(truth))
    if expected is not None:
        return Calibration(expected, "validation episodes", error)
    return Calibration()


def strangeness(
    support: Features, labels: Int[np.ndarray, " n"], queries: Features
) -> Float[np.ndarray, " queries"] | None:
    """How far queries are from the nearest class; above 1 they look like none of them.

    The distance is 1 − the cosine with a class's mean feature. It is divided by a limit that one
    in twenty of the support images would pass, each compared with the others of its class.

    Args:
        support: Features of the support images.
        labels: The class of each.
        queries: Features of the queries.

    Returns:
        Distances over the limit, or None where a class has one image alone.
    """
    counts = np.bincount(labels)
    if counts.min() < 2:
        return None
    rows = _unit(support)
    sums = np.stack([rows[labels == label].sum(0) for label in range(len(counts))])
    own = 1 - np.sum(rows * _unit(sums[labels] - rows), axis=1)
    limit = float(own.mean() + _DEVIATIONS * own.std())
    far = 1 - np.max(_unit(queries) @ _unit(sums).T, axis=1)
    return far / max(limit, 1e-6)


def doubt(probabilities: Float[np.ndarray, " way"], classes: tuple[str, ...], strange: bool) -> str:
    """What is to be said of one prediction: nothing, "none of the classes", or "or CLASS"."""
    if strange:
        return "none of the classes"
    second, first = np.argsort(probabilities)[-2:]
    if probabilities[second] >= _NEAR * probabilities[first]:
        return f"or {classes[second]}"
    return ""


def softmax(logits: Float[np.ndarray, "n way"]) -> Float[np.ndarray, "n way"]:
    """Probabilities of logits, row by row."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _folds(labels: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " left_out"]]:
    """One image of each class, in turn; none where a class has one image alone.

    All folds are of one size, so that one program serves all.
    """
    places = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    least = min(map(len, places))
    if least < 2:
        return []
    return [np.asarray([of[fold] for of in places]) for fold in range(min(least, _FOLDS))]


def _unit(rows: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n width"]:
    return rows / np.sqrt(np.sum(rows**2, 1, keepdims=True) + 1e-12)
