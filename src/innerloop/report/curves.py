"""The curves of a comparison, small enough for a page."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..comparison import Comparison, OptimizerRun
from ..comparison.comparison import interval

POINTS = 400
"""Steps of a curve that a page keeps; a screen shows no more."""
_DIGITS = 4


def curves_of(comparison: Comparison) -> dict[str, Any]:
    """Every optimizer's curve over the steps, and its loss on each problem at the horizon.

    Args:
        comparison: The comparison, with losses of [steps, problems] for each optimizer.

    Returns:
        Nested dicts that JSON can hold. `steps` holds the steps that are kept, at most `POINTS`
        and always the horizon. Each of `runs` has `name`, `role`, and at these steps `mean`,
        `half` (the half-width of the mean's 95 % interval), `low`, `median` and `high` (the
        quartiles), and `final`, the loss of each problem at the horizon. Numbers have four
        digits, and what is not finite is None.
    """
    kept = _kept(comparison.steps, comparison.horizon)
    runs = [(comparison.learned, "learned")]
    runs += [(run, "other") for run in comparison.others]
    runs += [(run, "baseline") for run in comparison.baselines]
    if comparison.reference is not None:
        runs.append((comparison.reference, "reference"))
    return {
        "horizon": comparison.horizon,
        "problems": comparison.problems,
        "steps": kept.tolist(),
        "runs": [_run(run, role, kept, comparison.horizon) for run, role in runs],
    }


def _kept(steps: int, horizon: int) -> Int[np.ndarray, " points"]:
    if steps < POINTS:
        return np.arange(steps + 1)
    spread = np.linspace(0, steps, POINTS - 1).round().astype(int)
    return np.unique(np.append(spread, horizon))


def _run(
    run: OptimizerRun, role: str, kept: Int[np.ndarray, " points"], horizon: int
) -> dict[str, Any]:
    # A reference may end before the others; its loss stays where it ended.
    losses = run.losses[np.minimum(kept, len(run.losses) - 1)].astype(float)
    ranked = np.where(np.isfinite(losses), losses, np.inf)
    low, median, high = np.percentile(ranked, (25, 50, 75), axis=1, method="nearest")
    with np.errstate(invalid="ignore"):
        mean = losses.mean(axis=1)
    return {
        "name": run.name,
        "role": role,
        "mean": _short(mean),
        "half": _short(np.asarray([interval(each) for each in losses])),
        "low": _short(low),
        "median": _short(median),
        "high": _short(high),
        "final": _short(run.losses[min(horizon, len(run.losses) - 1)]),
    }


def _short(numbers: Float[np.ndarray, " n"]) -> list[int | float | None]:
    return [
        float(f"{each:.{_DIGITS}g}") if np.isfinite(each) else None for each in numbers.tolist()
    ]
