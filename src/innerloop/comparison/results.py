"""The numbers of a comparison, as results.json holds them."""

import importlib.metadata
from typing import Any

import numpy as np
from jaxtyping import Float

from .comparison import Comparison, OptimizerRun, interval
from .headline import against_reference, headline
from .tuning import Tuned


def results_of(comparison: Comparison, *, train_seconds: float | None = None) -> dict[str, Any]:
    """What results.json holds; every number is a mean over the test problems.

    `final` is the loss at the horizon, `ci95` the half-width of its 95 % interval
    (1.96 σ/√n), `median` its median over the problems, `mean` the loss averaged over steps
    0 … horizon, `final_2x` the loss at twice the horizon, where the runs go on so far, and
    `held_out` that on held-out data at the horizon, where the task has such data. `ratio` is the
    learned rule's final loss over the best baseline's; it is null unless both are positive, since
    the ratio of other losses says nothing. `paired` is the learned rule's final loss less the best
    baseline's, problem by problem: where problems differ much in difficulty, its interval tells
    more. `speedup` is how many times fewer steps, and seconds, the rule takes to the best
    baseline's loss, with bootstrap intervals over problems, and `verdict` says "ahead", "level" or
    "behind" for each (see `headline`). `seconds_per_step` is the time of one step of one problem
    with its gradient, `state_bytes_per_parameter` the optimizer's memory. `validation` is a
    baseline's loss at the horizon on the problems that it was tuned on, `second` the value of its
    second setting, and `left_out` are those that went no further. A loss that is not finite is
    null. `learned` has a `name` where the rule that is judged has learned nothing.

    Args:
        comparison: The comparison.
        train_seconds: How long the rule was trained, if that is known.

    Returns:
        Nested dicts that JSON can hold.
    """

    horizon, best = comparison.horizon, comparison.best_baseline
    results = {
        "task": comparison.task,
        "horizon": horizon,
        "problems": comparison.problems,
        "learned": _judged(comparison),
        "baselines": {run.name: _row(comparison, run) for run in comparison.baselines},
        "best_baseline": best.name,
        "ratio": comparison.ratio,
        "paired": _paired(comparison.learned.losses[horizon], best.losses[horizon]),
        **headline(comparison).results(),
        "seconds": {
            "train": train_seconds,
            "total": round(comparison.seconds + (train_seconds or 0.0), 1),
        },
        "seed": comparison.seed,
        "versions": versions(),
    }
    if comparison.left_out:
        left_out = comparison.left_out.items()
        results["left_out"] = {name: _tuning(tuned) for name, tuned in left_out}
    if comparison.others:
        results["others"] = {run.name: _row(comparison, run) for run in comparison.others}
    if comparison.reference is not None:
        results["reference"] = {
            "name": comparison.reference.name,
            "order": "second-order, with a line search; a step is one evaluation of the gradient; "
            "judged by itself",
            **_row(comparison, comparison.reference),
            **against_reference(comparison),
        }
    return results


def versions() -> dict[str, str]:
    """The versions of what the numbers depend on."""
    names = ("innerloop", "jax", "jaxlib", "equinox", "optax")
    return {name: importlib.metadata.version(name) for name in names}


def _judged(comparison: Comparison) -> dict[str, Any]:
    name = comparison.learned.name
    row = _row(comparison, comparison.learned)
    return row if name == "learned" else {"name": name, **row}


def _row(comparison: Comparison, run: OptimizerRun) -> dict[str, Any]:
    numbers = comparison.summary(run)
    if run.tuned is not None:
        numbers = {**_tuning(run.tuned), **numbers}
    if run.price is not None:
        numbers["seconds_per_step"] = run.price.seconds_per_step
        numbers["state_bytes_per_parameter"] = run.price.state_bytes_per_parameter
    return {name: _finite(number) for name, number in numbers.items()}


def _tuning(tuned: Tuned) -> dict[str, float]:
    found = {"learning_rate": tuned.learning_rate, "validation": tuned.validation}
    return found if tuned.second is None else {**found, "second": tuned.second}


def _paired(
    ours: Float[np.ndarray, " problems"], theirs: Float[np.ndarray, " problems"]
) -> dict[str, float | None]:
    with np.errstate(invalid="ignore"):  # Of two infinities, which is NaN as it should be.
        differences = ours - theirs
        mean = float(np.mean(differences, dtype=float))
    return {"difference": _finite(mean), "ci95": _finite(interval(differences))}


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
