"""Which of several optimizers is best, by their curves on the same problems."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

FLOOR = 1e-6
"""Of the distance from the first loss to the best: what is nearer to the best is at the best."""
TOLERANCE = 0.01
"""Of the bar's loss at the horizon: how much higher an optimizer may end that is handed over."""

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


def may_win(losses: Curves, bar: Curves) -> bool:
    """Whether an optimizer ends as low as the bar, but for `TOLERANCE`."""
    limit = final(bar)
    return final(losses) <= limit + TOLERANCE * abs(limit)
