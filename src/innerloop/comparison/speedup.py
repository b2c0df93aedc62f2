"""How much sooner a rule reaches what a baseline reaches, with an interval and a verdict."""

import dataclasses
from typing import Any, Literal

import numpy as np
import scipy.stats
from jaxtyping import Float

from ..errors import InnerloopError

Verdict = Literal["ahead", "level", "behind"]
RESAMPLES = 2000
"""Bootstrap samples of the problems."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A number with the 2.5 and 97.5 % points of its bootstrap distribution."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict | None:
        """What the interval says of a speed-up: "level" where it holds 1, None where it is NaN."""
        if np.isnan(self.low) or np.isnan(self.high):
            return None
        if self.low > 1:
            return "ahead"
        return "behind" if self.high < 1 else "level"

    def results(self) -> dict[str, float | None]:
        """What results.json holds: `value`, `low` and `high`, null where they are not finite."""
        return _finite(dataclasses.asdict(self))

    def __mul__(self, factor: float) -> "Interval":
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@dataclasses.dataclass(frozen=True)
class Speedup:
    """A rule against one baseline, in steps and in seconds.

    A speed-up of 2 says that the rule reaches in half the steps, or seconds, what the baseline
    reaches at the horizon.
    """

    steps: Interval
    seconds: Interval
    rule_steps: float | None
    """Steps in which the rule reaches the baseline's loss at the horizon; None for never."""
    baseline_steps: float | None
    """Steps in which the baseline reaches the rule's loss at the horizon; None for never."""
    p_value: float
    """Of the paired Wilcoxon test on the losses at the horizon, two-sided."""

    @property
    def verdict(self) -> dict[str, Verdict | None]:
        """Ahead, level or behind, for steps and for seconds.

        The steps are level too where the paired test finds no difference at the 5 % level. The
        seconds may differ all the same, by the price of a step.
        """
        steps = self.steps.verdict
        if steps is not None and self.p_value > 0.05:
            steps = "level"
        return {"steps": steps, "seconds": self.seconds.verdict}

    def results(self) -> dict[str, dict[str, float | None]]:
        """What results.json holds: `steps` and `seconds`, each with `value`, `low`, `high`."""
        return {
            "steps": self.steps.results(),
            "seconds": self.seconds.results(),
        }


def speedup(
    rule: Float[np.ndarray, "steps problems"],
    baseline: Float[np.ndarray, "_ problems"],
    *,
    horizon: int,
    price: float | Float[np.ndarray, " turns"] = 1.0,
    seed: int = 0,
) -> Speedup:
    """The speed-up of a rule over a baseline on the same problems.

    A curve counts as the lowest mean loss so far, so that noise after the minimum takes nothing
    away. The value is the steps in which the baseline reaches its own loss at the horizon, which
    are the horizon unless noise had it there before, over the steps in which the rule reaches
    that loss. A rule that does not reach it in its run is judged the other way around: the steps
    in which the baseline reaches the rule's loss at the horizon, over those of the rule. Between
    two steps the loss is interpolated.

    Args:
        rule: Losses at steps 0, 1, …, T of each problem, T at least `horizon`.
        baseline: The same of the baseline, on the same problems in the same order.
        horizon: The step at which the baseline is judged, at least 1.
        price: Seconds of the rule's step over seconds of the baseline's: a number, or one for
            each turn in which both were timed. Their median counts.
        seed: Draws the bootstrap samples of the problems and of the turns.

    Returns:
        The speed-up with 95 % bootstrap intervals over problems, and in seconds over the turns
        too, and a paired test. All of it is NaN where a loss at the horizon is not finite.

    Raises:
        InnerloopError: The curves differ in shape or end before the horizon, or the price is
            not positive.

    References:
        Metz et al., "VeLO: training versatile learned optimizers by scaling up" (2022,
        arXiv:2211.09760), for speed-up as the measure.
    """
    if rule.ndim != 2 or rule.shape[1] != baseline.shape[1] or rule.shape[1] < 2:
        raise InnerloopError(
            f"The curves are of {rule.shape} and {baseline.shape} losses; both must be "
            "[steps, problems], of the same two or more problems."
        )
    if not 1 <= horizon < min(len(rule), len(baseline)):
        raise InnerloopError(
            f"horizon is {horizon}; it must be from 1 to {min(len(rule), len(baseline)) - 1}."
        )
    ratios = np.atleast_1d(np.asarray(price, float))
    if not np.all(ratios > 0):
        raise InnerloopError(f"price is {price}; it must be positive.")
    if not np.all(np.isfinite([rule[horizon], baseline[horizon]])):
        return _UNKNOWN
    problems = rule.shape[1]
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(problems, [1 / problems] * problems, RESAMPLES)
    # The first row is the problems as they are.
    weights = np.concatenate([np.ones((1, problems)), counts]) / problems
    ours, theirs = _envelopes(weights, rule), _envelopes(weights, baseline)
    reached = _first_reached(ours, theirs[:, horizon])
    needed = _first_reached(theirs, ours[:, horizon])
    # Each is held against the step at which the other first was where it ends, so that no curve is
    # faster than itself: noise may take its lowest point ahead of the horizon.
    own, others = _first_reached(ours, ours[:, horizon]), _first_reached(theirs, theirs[:, horizon])
    with np.errstate(divide="ignore", invalid="ignore"):
        sooner = np.where(reached > 0, others / reached, np.inf)
        # A rule that is never below its start, where the baseline is, has no step to count.
        later = np.where(own > 0, needed / own, 0.0)
        values = np.where(np.isfinite(reached), sooner, later)
    # A baseline that gains nothing is no faster than a rule that begins where it does.
    values = np.where((others == 0) & (ours[:, 0] == theirs[:, 0]), 1.0, values)
    drawn = rng.choice(ratios, (RESAMPLES, len(ratios)))
    paid = np.median(np.concatenate([ratios[None], drawn]), axis=1)
    return Speedup(
        steps=_interval(values),
        seconds=_interval(values / paid),
        rule_steps=_or_none(reached[0]),
        baseline_steps=_or_none(needed[0]),
        p_value=_wilcoxon(rule[horizon], baseline[horizon]),
    )


_NONE = Interval(float("nan"), float("nan"), float("nan"))
_UNKNOWN = Speedup(
    steps=_NONE, seconds=_NONE, rule_steps=None, baseline_steps=None, p_value=float("nan")
)


def interquartile_mean(
    values: Float[np.ndarray, " tasks"], *, seed: int = 0
) -> tuple[float, float, float]:
    """The mean of the middle half of `values`, with a 95 % bootstrap interval over them."""
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return float("nan"), float("nan"), float("nan")
    found = scipy.stats.bootstrap(
        (values,),
        lambda each, axis: scipy.stats.trim_mean(each, 0.25, axis=axis),
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(scipy.stats.trim_mean(values, 0.25)), float(found.low), float(found.high)


def _envelopes(
    weights: Float[np.ndarray, "samples problems"], losses: Float[np.ndarray, "steps problems"]
) -> Float[np.ndarray, "samples steps"]:
    """The lowest mean loss so far, for each weighting of the problems; NaN never counts."""
    # A problem that was not drawn says nothing, whatever its loss: 0 times infinity is NaN.
    broken = ~np.isfinite(losses)
    means = weights @ np.where(broken, 0.0, losses).astype(float).T
    if broken.any():
        means = np.where((weights > 0).astype(float) @ broken.T.astype(float) > 0, np.inf, means)
    return np.minimum.accumulate(means, axis=1)


def _first_reached(
    curves: Float[np.ndarray, "samples steps"], targets: Float[np.ndarray, " samples"]
) -> Float[np.ndarray, " samples"]:
    """The interpolated step at which each falling curve first is at its target, or infinity."""
    below = curves <= targets[:, None]
    step = np.argmax(below, axis=1)
    rows = np.arange(len(curves))
    before, after = curves[rows, np.maximum(step - 1, 0)], curves[rows, step]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(before > after, (before - targets) / (before - after), 1.0)
    part = np.where(np.isfinite(part), part, 1.0)
    found = np.where(step == 0, 0.0, step - 1 + part)
    found = np.where(np.any(below, axis=1), found, np.inf)
    return np.where(np.isfinite(targets), found, np.nan)


def _interval(values: Float[np.ndarray, " samples"]) -> Interval:
    if not np.all(np.isfinite(values)):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))


def _wilcoxon(ours: Float[np.ndarray, " n"], theirs: Float[np.ndarray, " n"]) -> float:
    if not np.all(np.isfinite(ours) & np.isfinite(theirs)):
        return float("nan")
    if np.array_equal(ours, theirs):
        return 1.0
    test: Any = scipy.stats.wilcoxon(ours.astype(float) - theirs.astype(float))
    return float(test.pvalue)


def _or_none(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: number if np.isfinite(number) else None for name, number in numbers.items()}
