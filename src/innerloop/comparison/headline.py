"""The speed-up of a comparison: in steps, and in seconds."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from .speedup import Interval, Verdict, speedup

if TYPE_CHECKING:
    from .comparison import Comparison, OptimizerRun


@dataclasses.dataclass(frozen=True)
class Headline:
    """How much sooner the learned rule reaches what the baselines reach."""

    steps: Interval
    """Over the best baseline at the horizon."""
    seconds: Interval | None
    """Over the best baseline in the same time; None where no step was timed."""
    seconds_baseline: str | None
    """The baseline that is best in that time."""
    verdict: dict[str, Verdict | None]
    """Ahead, level or behind, for "steps" and for "seconds"; None where nothing can be said."""

    def results(self) -> dict[str, Any]:
        """`speedup` and `verdict` as results.json holds them."""
        found: dict[str, Any] = {"steps": self.steps.results()}
        if self.seconds is not None:
            found["seconds"] = {**self.seconds.results(), "baseline": self.seconds_baseline}
        return {"speedup": found, "verdict": self.verdict}


def headline(comparison: "Comparison") -> Headline:
    """The speed-up of the learned rule over the best baseline, on the axes of steps and seconds.

    On the axis of steps that is the baseline with the lowest mean loss at the horizon. On the axis
    of seconds it is the one with the lowest mean loss after as many seconds as that one takes to
    the horizon: a cheaper baseline has taken more steps by then.

    Args:
        comparison: The comparison. `seconds` needs the price of every step.
    """
    learned, best, horizon = comparison.learned, comparison.best_baseline, comparison.horizon
    steps = speedup(learned.losses, best.losses, horizon=horizon)
    verdict: dict[str, Verdict | None] = {"steps": steps.verdict["steps"]}
    if learned.price is None or any(run.price is None for run in comparison.baselines):
        return Headline(steps.steps, None, None, verdict)
    run, step = best_in_time(comparison)
    assert run.price is not None
    price = learned.price.over(run.price)
    timed = speedup(learned.losses, run.losses, horizon=step, price=price)
    verdict["seconds"] = timed.verdict["seconds"]
    return Headline(steps.steps, timed.seconds, run.name, verdict)


def against_reference(comparison: "Comparison") -> dict[str, Any]:
    """`speedup` and `verdict` of the learned rule over L-BFGS, at equal numbers of gradients.

    Args:
        comparison: The comparison, which has a reference.
    """
    learned, reference = comparison.learned, comparison.reference
    assert reference is not None
    price = np.ones(1)
    if learned.price is not None and reference.price is not None:
        price = learned.price.over(reference.price)
    found = speedup(learned.losses, reference.losses, horizon=comparison.horizon, price=price)
    speedups, verdict = found.results(), dict(found.verdict)
    if reference.price is None:
        del speedups["seconds"], verdict["seconds"]
    return {"speedup": speedups, "verdict": verdict}


def best_in_time(comparison: "Comparison") -> "tuple[OptimizerRun, int]":
    """The best baseline after the seconds that `best_baseline` takes to the horizon, and its step.

    Args:
        comparison: The comparison. Every baseline has a price.
    """
    best, horizon = comparison.best_baseline, comparison.horizon
    time = horizon * _seconds(best)

    def reached(run: "OptimizerRun") -> tuple[float, int]:
        step = horizon if run is best else int(time / _seconds(run))
        step = max(1, min(comparison.steps, step))
        mean = float(np.mean(run.losses[step], dtype=float))
        return (mean if np.isfinite(mean) else np.inf), step

    found = {run.name: reached(run) for run in comparison.baselines}
    # The best baseline comes first, so that others have to be better to take its place.
    run = min([best, *comparison.baselines], key=lambda run: found[run.name][0])
    return run, found[run.name][1]


def _seconds(run: "OptimizerRun") -> float:
    assert run.price is not None
    return run.price.seconds_per_step
