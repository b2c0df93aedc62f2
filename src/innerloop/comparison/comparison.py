"""A learned rule against tuned baselines, on problems that neither has seen."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .. import keys
from ..evaluation import evaluate
from ..rules import OptaxRule, Rule
from ..rules.check import check_rule
from ..runtime.promotion import usual_promotion
from ..tasks import TaskFamily
from ..tasks.check import check_task
from .baselines import BASELINES
from .reference import lbfgs
from .settings import ComparisonSettings
from .tuning import Tuned, tune

# Folded into the seed's key, so that tuning and testing share no problem with each other,
# nor with training, which splits the key.


@dataclasses.dataclass(frozen=True)
class OptimizerRun:
    """One optimizer's runs on the test problems."""

    name: str
    losses: Float[np.ndarray, "steps problems"]
    """f(θ_0) … f(θ_T), float32."""
    held_out: Float[np.ndarray, "marks problems"] | None = None
    """The loss on held-out data at each multiple of the horizon, where the task has such data."""
    tuned: Tuned | None = None
    """How its learning rate was found, of a baseline."""
    evaluations: float | None = None
    """Mean number of evaluations of f up to the horizon, where that is not one a step."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Example:
        >>> import innerloop
        >>> import numpy as np
        >>> from innerloop.comparison import OptimizerRun
        >>> losses = np.asarray([[8.0, 8.0], [1.0, 3.0]], np.float32)
        >>> comparison = innerloop.Comparison(
        ...     task="bowl",
        ...     horizon=1,
        ...     learned=OptimizerRun("learned", losses),
        ...     baselines=[OptimizerRun("sgd", 2 * losses)],
        ...     reference=None,
        ...     seed=0,
        ...     seconds=0.0,
        ... )
        >>> comparison.best_baseline.name, comparison.ratio
        ('sgd', 0.5)
    """

    task: str
    """What the task is called."""
    horizon: int
    """The step at which the optimizers are judged."""
    learned: OptimizerRun
    """The learned rule's runs."""
    baselines: list[OptimizerRun]
    """The tuned baselines' runs."""
    reference: OptimizerRun | None
    """The runs of L-BFGS, or None."""
    seed: int
    """What the problems were drawn by."""
    seconds: float
    """Time of the whole comparison, compilation included."""
    others: list[OptimizerRun] = dataclasses.field(default_factory=list)
    """Other learned rules on the same problems."""
    left_out: dict[str, Tuned] = dataclasses.field(default_factory=dict)
    """The baselines that were tuned and were not among the `test_top_k`."""

    @property
    def steps(self) -> int:
        """How far the optimizers are run."""
        return self.learned.losses.shape[0] - 1

    @property
    def problems(self) -> int:
        """How many test problems every optimizer ran on."""
        return self.learned.losses.shape[1]

    @property
    def best_baseline(self) -> OptimizerRun:
        """The baseline with the lowest mean loss at the horizon, of those with a finite one.

        Where none has, the first of them; see `has_best`.
        """

        def final(run: OptimizerRun) -> float:
            mean = _mean(run.losses[self.horizon])
            return mean if np.isfinite(mean) else np.inf

        return min(self.baselines, key=final)

    @property
    def has_best(self) -> bool:
        """Whether any baseline's mean loss at the horizon is finite."""
        return bool(np.isfinite(_mean(self.best_baseline.losses[self.horizon])))

    @property
    def ratio(self) -> float | None:
        """The learned rule's mean loss at the horizon over the best baseline's.

        None unless both are finite and positive: the ratio of other losses says nothing. See
        `paired` in `results` then.
        """
        learned = _mean(self.learned.losses[self.horizon])
        best = _mean(self.best_baseline.losses[self.horizon])
        if not (0 < learned < np.inf and 0 < best < np.inf):
            return None
        return learned / best

    def results(self, *, train_seconds: float | None = None) -> dict[str, Any]:
        """What results.json holds, see `innerloop.comparison.results.results_of`."""
        from .results import results_of

        return results_of(self, train_seconds=train_seconds)

    def summary(self, run: OptimizerRun) -> dict[str, float]:
        """`final`, `ci95`, `median`, `mean`, `final_2x` and, where there is one, `held_out`."""
        losses, horizon = run.losses, self.horizon
        numbers = {
            "final": _mean(losses[horizon]),
            "ci95": interval(losses[horizon]),
            "median": _median(losses[horizon]),
            "mean": _mean(losses[: horizon + 1]),
        }
        if self.steps >= 2 * horizon:
            numbers["final_2x"] = _mean(losses[2 * horizon])
        if run.held_out is not None:
            numbers["held_out"] = _mean(run.held_out[0])
        return numbers


@usual_promotion()
def compare(
    rule: Rule,
    task: TaskFamily,
    settings: ComparisonSettings | None = None,
    *,
    name: str = "task",
    others: Mapping[str, Rule] | None = None,
    seed: int = 0,
    baselines: Mapping[str, Callable[..., Any]] = BASELINES,
    report: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Compare `rule` with every baseline, tuned on this task, on fresh test problems.

    Each baseline's learning rate is tuned for the loss at the horizon on validation
    problems; the rule is run as it is. All optimizers run on the same test problems, with the
    same initial parameters and minibatches.

    Args:
        rule: The learned rule.
        task: The family of problems.
        settings: The sizes; `ComparisonSettings()` where it is None.
        name: What the task is called in tables.
        others: More learned rules to show, by name.
        seed: Draws the problems; from 0 to 2³² − 1.
        baselines: Functions from a learning rate to an Optax transformation, by name.
            `settings.baselines` chooses among them.
        report: Called with a line of progress.

    Returns:
        The losses of all, as arrays; `plot_curves` draws them.

    Raises:
        InnerloopError: `rule`, one of `others`, or `task` is not valid; or no learning rate of a
            baseline gives a finite loss.

    Example:
        >>> import innerloop
        >>> settings = innerloop.ComparisonSettings(
        ...     problems=4, horizon=5, validation_problems=2, baselines=("sgd",)
        ... )
        >>> rule = innerloop.load("lstm-quadratic")
        >>> innerloop.compare(rule, innerloop.Quadratic(), settings).best_baseline.name
        'sgd'
    """
    settings = settings or ComparisonSettings()
    check_rule(rule)
    for other, each in (others or {}).items():
        check_rule(each, name=f"The rule '{other}'")
    check_task(task)
    began = time.perf_counter()
    key = jax.random.key(seed)
    tuned = _tune_all(
        {each: baselines[each] for each in settings.baselines or baselines},
        task.split("validation"),
        settings,
        keys.validation_problems(key),
        report,
    )
    report("running all optimizers on the test problems")
    test_task, test_key = task.split("test"), keys.test_problems(key)

    def run(name: str, rule: Rule, tuned: Tuned | None = None) -> OptimizerRun:
        marks = tuple(settings.horizon * n for n in range(1, settings.horizon_multiple + 1))
        curves = evaluate(rule, test_task, key=test_key, problems=settings.problems, marks=marks)
        return OptimizerRun(name, curves.losses, curves.held_out, tuned)

    ranked = sorted(tuned, key=lambda each: tuned[each].validation)
    left_out = {} if settings.test_top_k is None else ranked[settings.test_top_k :]
    return Comparison(
        task=name,
        horizon=settings.horizon,
        learned=run("learned", rule),
        baselines=[
            run(each, OptaxRule(baselines[each], found.learning_rate), found)
            for each, found in tuned.items()
            if each not in left_out
        ],
        others=[run(label, other) for label, other in (others or {}).items()],
        reference=_reference(test_task, test_key, settings, report) if settings.reference else None,
        left_out={each: tuned[each] for each in left_out},
        seed=seed,
        seconds=round(time.perf_counter() - began, 1),
    )


def _tune_all(
    baselines: Mapping[str, Callable[..., Any]],
    task: TaskFamily,
    settings: ComparisonSettings,
    key: PRNGKeyArray,
    report: Callable[[str], None],
) -> dict[str, Tuned]:
    tuned: dict[str, Tuned] = {}
    for name, make in baselines.items():
        report(f"tuning {name}")
        tuned[name] = tune(
            lambda rate, make=make: OptaxRule(make, rate),
            task,
            key=key,
            problems=settings.validation_problems,
            horizon=settings.horizon,
            grid=settings.grid,
        )
    return tuned


def _reference(
    task: TaskFamily,
    key: PRNGKeyArray,
    settings: ComparisonSettings,
    report: Callable[[str], None],
) -> OptimizerRun:
    report("running L-BFGS")
    steps = settings.horizon_multiple * settings.horizon
    runs = lbfgs(task, key=key, problems=settings.problems, steps=steps)
    evaluations = float(runs.evaluations[settings.horizon].mean())
    return OptimizerRun("l-bfgs", runs.losses, evaluations=evaluations)


def interval(numbers: Float[np.ndarray, " problems"]) -> float:
    """The half-width of the mean's 95 % interval, 1.96 σ/√n; NaN where one is not finite."""
    if not np.all(np.isfinite(numbers)):
        return float("nan")
    return float(1.96 * np.std(numbers, ddof=1, dtype=float) / np.sqrt(len(numbers)))


def _median(numbers: Float[np.ndarray, " problems"]) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.median(numbers))


def _mean(numbers: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # Of infinities of both signs, which is NaN.
        return float(np.mean(numbers, dtype=float))
