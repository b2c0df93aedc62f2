"""Whether probabilities are as often right as they say, and the temperature that makes them so."""

import numpy as np
from jaxtyping import Float, Int

_TEMPERATURES = np.geomspace(0.02, 50, 200)
_SPREAD = 0.3  # Of log temperatures, from one set of classes to the next.


def fit_temperature(
    logits: Float[np.ndarray, "n way"],
    labels: Int[np.ndarray, " n"],
    expected: float | None = None,
) -> float:
    """What logits have to be divided by, for softmaxes that are neither too sure nor too unsure.

    It minimises the cross-entropy. A few images that are all named rightly would ask for
    certainty. Against that, a temperature that is `expected` counts as a normal distribution of
    its logarithm, of deviation 0.3. Where none is, labels are smoothed: of n images a share of
    1 / (n + 2) counts as wrong.

    Args:
        logits: Logits of images that were not learned from, float [n, way].
        labels: The class of each, from 0 to way − 1.
        expected: The temperature that validation episodes gave, positive; None without any.

    Returns:
        The temperature, from 0.02 to 50.

    References:
        Guo et al., "On calibration of modern neural networks" (2017, arXiv:1706.04599); Platt,
        "Probabilistic outputs for support vector machines" (1999), for the smoothing.

    Example:
        >>> import numpy as np
        >>> logits = np.asarray([[9.0, 0.0]] * 4)
        >>> round(fit_temperature(logits, np.asarray([0, 0, 0, 1])))
        13
    """
    n, way = logits.shape
    wrong = 1 / (n + 2) if expected is None else 0.0
    targets = np.full((n, way), wrong / (way - 1))
    targets[np.arange(n), labels] = 1 - wrong
    losses = [-np.sum(targets * _log_softmax(logits / each)) for each in _TEMPERATURES]
    if expected is not None:
        losses += 0.5 * (np.log(_TEMPERATURES / expected) / _SPREAD) ** 2
    return float(_TEMPERATURES[int(np.argmin(losses))])


def calibration_error(
    probabilities: Float[np.ndarray, "n way"], labels: Int[np.ndarray, " n"], bins: int = 10
) -> float:
    """The expected calibration error: by how much the largest probability differs from accuracy.

    Images are grouped by their largest probability. The error is the mean difference, by group,
    between that probability and the share that is named rightly, weighted by the groups' sizes.

    Args:
        probabilities: Of images that were not learned from, [n, way]; rows sum to 1.
        labels: The class of each, from 0 to way − 1.
        bins: Groups, of equal width.

    Returns:
        The error, from 0 to 1.

    References:
        Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning" (2015).

    Example:
        >>> import numpy as np
        >>> calibration_error(np.asarray([[0.75, 0.25]] * 4), np.asarray([0, 0, 0, 1]))
        0.0
    """
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    groups = np.minimum((sure * bins).astype(int), bins - 1)
    return float(
        sum(
            np.mean(groups == group) * abs(np.mean((sure - right)[groups == group]))
            for group in np.unique(groups)
        )
    )


def _log_softmax(logits: Float[np.ndarray, "n way"]) -> Float[np.ndarray, "n way"]:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), 1, keepdims=True))
