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
from ..rules import Rule
from ..rules.check import check_rule
from ..runtime.promotion import usual_promotion
from ..tasks import TaskFamily
from ..tasks.check import check_task
from .baselines import Baseline, choose, plain
from .price import Price, prices
from .reference import is_noiseless, lbfgs
from .settings import ComparisonSettings
from .tuning import Tuned, tune_baseline

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
    """How its settings were found, of a baseline."""
    price: Price | None = None
    """What a step costs on this task, if that was measured."""


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
    """The runs of L-BFGS, by evaluations of the gradient and not by its iterations, or None."""
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
    def judged(self) -> str:
        """What sentences call the rule that is judged."""
        return "the learned rule" if self.learned.name == "learned" else self.learned.name

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
    baselines: Mapping[str, Callable[..., Any]] | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Compare `rule` with every baseline, tuned on this task, on fresh test problems.

    Each baseline's learning rate, and its second setting, are tuned for the loss at the horizon on
    validation problems; the rule is run as it is. All optimizers run on the same test problems,
    with the same initial parameters and minibatches. What a step of each costs is measured on one
    problem.

    Args:
        rule: The learned rule.
        task: The family of problems.
        settings: The sizes; `ComparisonSettings()` where it is None.
        name: What the task is called in tables.
        others: More learned rules to show, by name.
        seed: Draws the problems; from 0 to 2³² − 1.
        baselines: Functions from a learning rate to an Optax transformation, by name, in place
            of the baselines that `settings.baselines` chooses.
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
    chosen = choose(settings.baselines)
    if baselines is not None:
        chosen = {each: plain(each, make) for each, make in baselines.items()}
    tuned = _tune_all(
        chosen, task.split("validation"), settings, keys.validation_problems(key), report
    )
    test = _Test(task.split("test"), keys.test_problems(key), settings)
    kept = sorted(tuned, key=lambda each: tuned[each].validation)[: settings.test_top_k]
    rules = {each: _rule(chosen[each], tuned[each], settings) for each in chosen if each in kept}
    runs = test.run_all(
        {"learned": {"learned": rule}, "baselines": rules, "others": others or {}}, tuned, report
    )
    return Comparison(
        task=name,
        horizon=settings.horizon,
        learned=runs["learned"][0],
        baselines=runs["baselines"],
        others=runs["others"],
        reference=test.reference(report),
        left_out={each: tuned[each] for each in tuned if each not in kept},
        seed=seed,
        seconds=round(time.perf_counter() - began, 1),
    )


@dataclasses.dataclass(frozen=True)
class _Test:
    """The problems that every optimizer is tested on."""

    task: TaskFamily
    key: PRNGKeyArray
    settings: ComparisonSettings

    def run_all(
        self,
        groups: Mapping[str, Mapping[str, Rule]],
        tuned: Mapping[str, Tuned],
        report: Callable[[str], None],
    ) -> dict[str, list[OptimizerRun]]:
        """Time a step of every rule, then run each; by group, in which names are its own."""
        report("timing a step of every optimizer")
        rules = {
            f"{group} {name}": groups[group][name] for group in groups for name in groups[group]
        }
        paid = prices(rules, self.task, key=self.key)
        report("running all optimizers on the test problems")
        return {
            group: [
                OptimizerRun(
                    name=name,
                    **self._losses(rule),
                    tuned=tuned.get(name) if group == "baselines" else None,
                    price=paid[f"{group} {name}"],
                )
                for name, rule in members.items()
            ]
            for group, members in groups.items()
        }

    def _losses(self, rule: Rule) -> dict[str, Any]:
        horizon, problems = self.settings.horizon, self.settings.problems
        marks = tuple(horizon * n for n in range(1, self.settings.horizon_multiple + 1))
        curves = evaluate(rule, self.task, key=self.key, problems=problems, marks=marks)
        return {"losses": curves.losses, "held_out": curves.held_out}

    def reference(self, report: Callable[[str], None]) -> OptimizerRun | None:
        if not self.settings.reference or not is_noiseless(self.task, key=self.key):
            return None
        report("running L-BFGS")
        steps = self.settings.horizon_multiple * self.settings.horizon
        runs = lbfgs(self.task, key=self.key, problems=self.settings.problems, steps=steps)
        return OptimizerRun("l-bfgs", runs.losses, price=runs.price)


def _tune_all(
    baselines: Mapping[str, Baseline],
    task: TaskFamily,
    settings: ComparisonSettings,
    key: PRNGKeyArray,
    report: Callable[[str], None],
) -> dict[str, Tuned]:
    tuned: dict[str, Tuned] = {}
    for name, baseline in baselines.items():
        report(f"tuning {name}")
        tuned[name] = tune_baseline(
            baseline,
            task,
            key=key,
            problems=settings.validation_problems,
            horizon=settings.horizon,
            grid=settings.grid,
        )
    return tuned


def _rule(baseline: Baseline, tuned: Tuned, settings: ComparisonSettings) -> Rule:
    return baseline.rule(tuned.learning_rate, horizon=settings.horizon, second=tuned.second)


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
