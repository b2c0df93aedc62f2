"""Which of several optimizers is best, by their curves on the same problems."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ..comparison.speedup import speedup

FLOOR = 1e-6
"""Of the distance from the first loss to the best: what is nearer to the best is at the best."""
TOLERANCE = 0.01
"""An optimizer that is handed over may end this much above the bar: a part of the bar's loss at
the horizon, or of the bar's decrease up to there, whichever is less."""

Curves = Float[np.ndarray, "steps problems"]


def mean_curve(losses: Curves) -> Float[np.ndarray, " steps"]:
    """The mean loss at each step; infinity where one is not finite."""
    means = losses.mean(axis=1, dtype=float)
    return np.where(np.isfinite(means), means, np.inf)


def final(losses: Curves) -> float:
    """The mean loss at the end; infinity where one is not finite."""
    return float(mean_curve(losses)[-1])


def standings(
    curves: Mapping[str, Curves], prices: Mapping[str, float] | None = None
) -> dict[str, float]:
    """For each optimizer, the mean over steps of log₁₀ of the distance to the best loss seen.

    The distance is in units of the first distance. A curve counts as the lowest mean so far. The
    lower the better: a standing lower by 1 is ten times closer, on average over the steps.

    Args:
        curves: The losses of each optimizer on the same problems.
        prices: Seconds of a step. Where they are given, what is reached in the same steps and what
            is reached in the same time count alike.
    """
    falling = {name: np.minimum.accumulate(mean_curve(losses)) for name, losses in curves.items()}
    best = min(curve[-1] for curve in falling.values())
    top = max(curve[0] for curve in falling.values())
    span = max(top - best, 1e-30)
    cheapest = min(prices.values()) if prices else 1.0

    def standing(name: str, curve: Float[np.ndarray, " steps"]) -> float:
        steps = np.arange(1, len(curve))
        logs = np.log10(np.clip((curve - best) / span, FLOOR, 1e6))
        if not prices:
            return float(np.mean(logs[steps]))
        in_time = np.floor(steps * cheapest / prices[name]).astype(int)
        return float(np.mean(logs[steps]) + np.mean(logs[in_time])) / 2

    return {name: standing(name, curve) for name, curve in falling.items()}


def log_speedup(losses: Curves, first: Curves, price: float) -> float:
    """log₁₀ of the speed-up over another optimizer: the mean of that in steps and that in seconds.

    Args:
        losses: The losses of an optimizer.
        first: Those of the other one, on the same problems.
        price: Seconds of a step, over those of the other's.
    """
    horizon = len(first) - 1
    found = speedup(losses, first, horizon=horizon, price=price).steps.value
    if not found > 0:  # NaN too: there is nothing to compare.
        return 0.0
    return math.log10(min(found, horizon)) - 0.5 * math.log10(price)


def room_above(bar: Curves) -> float:
    """How much higher than the bar's loss at the horizon an optimizer may end."""
    first, limit = float(mean_curve(bar)[0]), final(bar)
    # A loss may have an offset that nothing can lower: it allows no more room.
    return TOLERANCE * min(abs(limit), abs(first - limit))


def may_win(losses: Curves, bar: Curves) -> bool:
    """Whether an optimizer ends as low as the bar, but for `TOLERANCE`."""
    return final(losses) <= final(bar) + room_above(bar)


def is_open(curves: Sequence[Curves]) -> bool:
    """Whether these problems do not show which mean loss at the horizon is lowest.

    They do not where another optimizer is within two standard errors of the lowest mean, and the
    standard error is larger than the room that `may_win` allows.

    Args:
        curves: The losses of each optimizer on the same problems.
    """
    bar = min(curves, key=final)
    if not math.isfinite(final(bar)):
        return False
    for losses in curves:
        apart = losses[-1].astype(float) - bar[-1]
        error = float(np.std(apart)) / math.sqrt(apart.size)
        if error > room_above(bar) and float(np.mean(apart)) < 2 * error:
            return True
    return False
