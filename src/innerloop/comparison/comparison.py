"""A learned rule against tuned baselines, on problems that neither has seen."""

import dataclasses
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ..errors import InnerloopError
from ..evaluation import Curves, evaluate
from ..rules import OptaxRule, Rule
from ..rules.check import check_rule
from ..tasks import Task
from ..tasks.check import check_task
from .baselines import BASELINES
from .reference import lbfgs
from .tuning import Grid, Tuned, tune

# Folded into the seed's key, so that tuning and testing share no problem with each other,
# nor with training, which splits the key.
_VALIDATION, _TEST = 1_000_001, 1_000_002


@dataclasses.dataclass(frozen=True)
class Entrant:
    """One optimizer's runs: `losses` [steps + 1, problems], and what to know of it."""

    name: str
    losses: Float[np.ndarray, "steps problems"]
    held_out: Float[np.ndarray, "marks problems"] | None = None
    tuned: Tuned | None = None
    evaluations: float | None = None
    """Mean number of evaluations of f up to the horizon, where that is not one a step."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`."""

    task: str
    horizon: int
    learned: Entrant
    baselines: list[Entrant]
    reference: Entrant | None
    seed: int
    seconds: float
    others: list[Entrant] = dataclasses.field(default_factory=list)
    """Other learned rules on the same problems."""
    left_out: dict[str, Tuned] = dataclasses.field(default_factory=dict)
    """The baselines that were tuned and did not reach the final on validation problems."""

    @property
    def steps(self) -> int:
        """How far the optimizers are run."""
        return self.learned.losses.shape[0] - 1

    @property
    def problems(self) -> int:
        """How many test problems every optimizer met."""
        return self.learned.losses.shape[1]

    @property
    def best_baseline(self) -> Entrant:
        """The baseline with the lowest mean loss at the horizon, of those with a finite one.

        Where none has, the first of them; see `has_best`.
        """

        def final(entrant: Entrant) -> float:
            mean = _mean(entrant.losses[self.horizon])
            return mean if np.isfinite(mean) else np.inf

        return min(self.baselines, key=final)

    @property
    def has_best(self) -> bool:
        """Whether any baseline's mean loss at the horizon is finite."""
        return bool(np.isfinite(_mean(self.best_baseline.losses[self.horizon])))

    @property
    def ratio(self) -> float:
        """The learned rule's mean loss at the horizon over the best baseline's, if that is finite.

        NaN otherwise: beside an infinity every rule would be infinitely good.
        """
        if not self.has_best:
            return float("nan")
        best = self.best_baseline.losses[self.horizon]
        return _mean(self.learned.losses[self.horizon]) / _mean(best)

    def results(self, *, train_seconds: float | None = None) -> dict[str, Any]:
        """What results.json holds; every number is a mean over the test problems.

        `final` is the loss at the horizon, `ci95` the half-width of its 95 % interval
        (1.96 σ/√n), `median` its median over the problems, `mean` the loss averaged over steps
        0 … horizon, `final_2x` the loss at twice the horizon, where the runs go on so far, and
        `held_out` that on held-out data at the horizon, where the task has such data. `paired`
        is the learned rule's final loss less the best baseline's, problem by problem: where
        problems differ much in difficulty, its interval tells more. `validation` is a
        baseline's loss at the horizon on the problems that it was tuned on, and `left_out` are
        those that went no further. A loss that is not finite is null.
        """

        def row(entrant: Entrant) -> dict[str, Any]:
            summary = self.summary(entrant)
            if entrant.tuned is not None:
                summary = {**settled(entrant.tuned), **summary}
            return {name: _finite(number) for name, number in summary.items()}

        def settled(tuned: Tuned) -> dict[str, float]:
            return {"learning_rate": tuned.learning_rate, "validation": tuned.validation}

        paired = self.learned.losses[self.horizon] - self.best_baseline.losses[self.horizon]
        results = {
            "task": self.task,
            "horizon": self.horizon,
            "problems": self.problems,
            "learned": row(self.learned),
            "baselines": {entrant.name: row(entrant) for entrant in self.baselines},
            "best_baseline": self.best_baseline.name,
            "ratio": _finite(self.ratio),
            "paired": {"difference": _finite(_mean(paired)), "ci95": _finite(interval(paired))},
            "seconds": {
                "train": train_seconds,
                "total": round(self.seconds + (train_seconds or 0.0), 1),
            },
            "seed": self.seed,
            "versions": versions(),
        }
        if self.left_out:
            results["left_out"] = {name: settled(tuned) for name, tuned in self.left_out.items()}
        if self.others:
            results["others"] = {entrant.name: row(entrant) for entrant in self.others}
        if self.reference is not None:
            results["reference"] = {
                "name": self.reference.name,
                "order": "second-order, with a line search; not among the baselines",
                **row(self.reference),
                "evaluations": self.reference.evaluations,
            }
        return results

    def summary(self, entrant: Entrant) -> dict[str, float]:
        """`final`, `ci95`, `median`, `mean`, `final_2x` and, where there is one, `held_out`."""
        losses, horizon = entrant.losses, self.horizon
        numbers = {
            "final": _mean(losses[horizon]),
            "ci95": interval(losses[horizon]),
            "median": float(np.median(losses[horizon])),
            "mean": _mean(losses[: horizon + 1]),
        }
        if self.steps >= 2 * horizon:
            numbers["final_2x"] = _mean(losses[2 * horizon])
        if entrant.held_out is not None:
            numbers["held_out"] = _mean(entrant.held_out[0])
        return numbers


def compare(
    rule: Rule,
    task: Task,
    *,
    name: str = "task",
    problems: int = 1000,
    horizon: int = 100,
    validation_problems: int = 256,
    grid: Grid | None = None,
    reference: bool = False,
    beyond: int = 2,
    finalists: int | None = None,
    others: Mapping[str, Rule] | None = None,
    seed: int = 0,
    baselines: Mapping[str, Callable[..., Any]] = BASELINES,
    report: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """`rule` against every baseline, tuned on this task, on `problems` fresh test problems.

    Each baseline's learning rate is tuned for the loss at the horizon on validation
    problems; the rule is run as it is. All optimizers meet the same test problems, with the
    same initial parameters and minibatches, for `beyond` times the horizon. Of many baselines
    only `finalists` may be wanted there: those best on the validation problems, where a test
    takes long. `others` are more learned rules to be shown; `reference` adds L-BFGS. Raises
    `InnerloopError` for sizes that are not positive.
    """
    finalists = len(baselines) if finalists is None else finalists
    sizes = {
        "problems": problems,
        "validation_problems": validation_problems,
        "horizon": horizon,
        "beyond": beyond,
        "finalists": finalists,
    }
    for label, number in sizes.items():
        if number < 1 or (label == "problems" and number < 2):
            raise InnerloopError(
                f"{label} is {number}; it must be at least {1 + (label == 'problems')}."
            )
    check_rule(rule)
    for other, each in (others or {}).items():
        check_rule(each, name=f"The rule '{other}'")
    check_task(task)
    began = time.perf_counter()
    key = jax.random.key(seed)
    validation_key = jax.random.fold_in(key, _VALIDATION)
    test_key = jax.random.fold_in(key, _TEST)

    validation_task, test_task = task.split("validation"), task.split("test")

    def meet(rule: Rule) -> Curves:
        marks = tuple(horizon * time for time in range(1, beyond + 1))
        return evaluate(rule, test_task, key=test_key, problems=problems, marks=marks)

    def entrant(name: str, rule: Rule, tuned: Tuned | None = None) -> Entrant:
        curves = meet(rule)
        return Entrant(name, curves.losses, curves.held_out, tuned)

    tuned: dict[str, Tuned] = {}
    for rival, make in baselines.items():
        report(f"tuning {rival}")
        tuned[rival] = tune(
            _maker(make),
            validation_task,
            key=validation_key,
            problems=validation_problems,
            horizon=horizon,
            grid=grid,
        )
    ranked = sorted(tuned, key=lambda rival: tuned[rival].validation)
    left_out = {rival: tuned[rival] for rival in ranked[finalists:]}
    report("running everyone on the test problems")
    learned = entrant("learned", rule)
    entrants = [
        entrant(rival, OptaxRule(make, tuned[rival].learning_rate), tuned[rival])
        for rival, make in baselines.items()
        if rival not in left_out
    ]
    more = [entrant(label, other) for label, other in (others or {}).items()]
    extra = None
    if reference:
        report("running L-BFGS")
        runs = lbfgs(test_task, key=test_key, problems=problems, steps=beyond * horizon)
        evaluations = float(runs.evaluations[horizon].mean())
        extra = Entrant("l-bfgs", runs.losses, evaluations=evaluations)
    seconds = round(time.perf_counter() - began, 1)
    return Comparison(name, horizon, learned, entrants, extra, seed, seconds, more, left_out)


def _maker(make: Callable[..., Any]) -> Callable[[Any], Rule]:
    return lambda rate: OptaxRule(make, rate)


def interval(numbers: Float[np.ndarray, " problems"]) -> float:
    """The half-width of the mean's 95 % interval, 1.96 σ/√n; NaN where one is not finite."""
    if not np.all(np.isfinite(numbers)):
        return float("nan")
    return float(1.96 * np.std(numbers, ddof=1, dtype=float) / np.sqrt(len(numbers)))


def versions() -> dict[str, str]:
    """The versions of what the numbers depend on."""
    names = ("innerloop", "jax", "jaxlib", "equinox", "optax")
    return {name: importlib.metadata.version(name) for name in names}


def _mean(numbers: np.ndarray) -> float:
    return float(np.mean(numbers, dtype=float))


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
