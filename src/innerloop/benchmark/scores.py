"""Speed-ups over tuned Adam, task by task and over all tasks of a suite."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..comparison.speedup import Interval, interquartile_mean, speedup
from .measuring import Measured
from .settings import REFERENCE, Table

_WINDOW = 50  # A loss counts as its mean over a fiftieth of the horizon.


def smoothed(
    losses: Float[np.ndarray, "steps seeds"], horizon: int
) -> Float[np.ndarray, "steps seeds"]:
    """Each loss as the mean of those over the last fiftieth of the horizon.

    Few runs of noisy minibatches would otherwise be judged by their luckiest ones.

    Args:
        losses: At steps 0, 1, ….
        horizon: The step at which they are judged.
    """
    width = max(1, horizon // _WINDOW)
    sums = np.concatenate(
        [np.zeros_like(losses[:1], float), np.cumsum(losses, axis=0, dtype=float)]
    )
    last = np.arange(1, len(losses) + 1)
    first = np.maximum(last - width, 0)
    # A sum that has overflowed once stays so; what is broken later says nothing before.
    with np.errstate(invalid="ignore"):
        means = (sums[last] - sums[first]) / (last - first)[:, None]
    return means.astype(np.float32)


def speedup_over(
    rule: Float[np.ndarray, "steps seeds"],
    reference: Float[np.ndarray, "steps seeds"],
    horizon: int,
) -> Interval:
    """How many times fewer steps a rule needs than the reference, with an interval over seeds.

    The reference is judged where it is best, at or before the horizon. A curve with its lowest
    point before the horizon would otherwise be faster than itself.

    0 where the rule's loss at the horizon is not finite. At most the horizon: a rule cannot be
    there before its first step.

    Args:
        rule: The rule's losses at steps 0 … horizon.
        reference: The reference's, on the same problems.
        horizon: The step at which the reference is judged.
    """
    ours, theirs = smoothed(rule, horizon), smoothed(reference, horizon)
    if not np.all(np.isfinite(ours[horizon])):
        return Interval(0.0, 0.0, 0.0)
    means = np.mean(theirs[: horizon + 1], axis=1, dtype=float)
    best = max(1, int(np.argmin(np.where(np.isfinite(means), means, np.inf))))
    found = speedup(ours, theirs, horizon=best).steps
    parts = (found.value, found.low, found.high)
    return Interval(*(float(np.clip(part, 0.0, horizon)) for part in parts))


def scores(measured: Measured) -> dict[str, Any]:
    """What results.json holds of a suite: by table, horizon and entrant.

    Each entrant has, for every task, its final loss, its speed-up over tuned Adam in steps and in
    seconds, and the scalar that was tuned; and over all tasks the interquartile means of the
    speed-ups with bootstrap intervals over tasks, and the verdict of each: "ahead", "level" or
    "behind".

    Args:
        measured: The runs.
    """
    return {
        table: {
            str(horizon): {
                name: _entrant(measured, table, horizon, name) for name in measured.names(table)
            }
            for horizon in measured.settings.horizons
        }
        for table in measured.settings.tables
    }


def _entrant(measured: Measured, table: Table, horizon: int, name: str) -> dict[str, Any]:
    tasks = {task: _task(measured, task, table, horizon, name) for task in measured.tasks}
    found: dict[str, Any] = {}
    for axis in ("steps", "seconds"):
        values = [each["speedup"][axis]["value"] for each in tasks.values()]
        mean = Interval(*interquartile_mean(np.asarray(values, float)))
        found[axis] = {**mean.results(), "verdict": mean.verdict}
    return {"speedup": found, "tasks": tasks}


def _task(measured: Measured, task: str, table: Table, horizon: int, name: str) -> dict[str, Any]:
    place = (task, horizon, table, name)
    losses = measured.losses[place]
    reference = measured.losses[task, horizon, "tuned", REFERENCE]
    steps = speedup_over(losses, reference, horizon)
    price, theirs = measured.prices[task, name], measured.prices[task, REFERENCE]
    seconds = steps * (theirs.seconds_per_step / price.seconds_per_step)
    final = float(np.mean(smoothed(losses, horizon)[horizon], dtype=float))
    return {
        "final": final if np.isfinite(final) else None,
        "speedup": {"steps": steps.results(), "seconds": seconds.results()},
        "scalar": measured.scalars[place],
        "seconds_per_step": price.seconds_per_step,
        "state_bytes_per_parameter": price.state_bytes_per_parameter,
    }
