"""Tuning a baseline, as hard as ours was trained: its learning rate, and one setting more."""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError, SettingsError
from ..evaluation import run
from ..rules import Rule
from ..runtime.devices import over_problems, problem_mesh, replicate, round_up, shard
from ..runtime.settings import Positive, Range, check
from ..tasks import TaskFamily, over_batch
from .baselines import Baseline, Rate

_AT_ONCE = 8  # Rates that run in one batch.
Pair = tuple[float, float]  # A learning rate, and a second setting.
_BESIDE = (-1.5, -0.5, 0.5, 1.5)  # Rates for another second setting, in points of the grid.
_MOST_DECADES = 6  # How far the grid extends itself in either direction.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """A logarithmic grid of learning rates, `low` to `high`.

    Raises:
        SettingsError: A setting is out of its range, or `low` is not below `high`.

    Example:
        >>> import innerloop
        >>> [round(rate, 3) for rate in innerloop.Grid(low=0.1, high=1.0).rates()]
        [0.1, 0.178, 0.316, 0.562, 1.0]
    """

    low: Positive = 1e-4
    """The lowest learning rate tried first."""
    high: Positive = 1.0
    """The highest one. The grid extends itself while the best is at an edge."""
    points_per_decade: Annotated[int, Range(at_least=4)] = 4
    """Learning rates tried in each decade. Fewer than 4 would be unfair to the baselines."""

    def __post_init__(self):
        check(self)
        if not self.low < self.high < math.inf:
            raise SettingsError("high", self.high, f"finite and above low, {self.low}")

    def rates(self) -> list[float]:
        """The rates, in rising order: 10^(k / points_per_decade) for whole k."""
        first = round(math.log10(self.low) * self.points_per_decade)
        last = round(math.log10(self.high) * self.points_per_decade)
        return [self._rate(k) for k in range(first, max(last, first + 1) + 1)]

    def _rate(self, k: int) -> float:
        return float(10 ** (k / self.points_per_decade))


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The best rate, and the mean final loss on validation problems of those that came close."""

    learning_rate: float
    tried: dict[float, float]
    """Of every rate near the best, over all validation problems."""
    screened: dict[float, float]
    """Of every rate of the grid, over a quarter of them."""
    second: float | None = None
    """The second setting that was found, of a baseline that has one."""

    @property
    def validation(self) -> float:
        """The best rate's mean final loss over the validation problems."""
        return self.tried[self.learning_rate]


def tune(
    make: Callable[[Float[Array, ""]], Rule],
    task: TaskFamily,
    *,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
    grid: Grid | None = None,
) -> Tuned:
    """The learning rate whose mean loss at the horizon is lowest on validation problems.

    The grid is screened on a quarter of the problems, and goes on by a decade while the best
    rate lies on its edge. Then rates around the best are tried on all problems, at three times
    the grid's density and from one of its points to the next on either side, and further while
    the best of those lies on their edge. All rates meet the same problems. A rate whose loss is
    not finite on any problem counts as infinite. Raises `InnerloopError` where every rate
    diverges.

    Args:
        make: The rule at a learning rate, float32 [], which is traced.
        task: The family of problems.
        key: Draws the validation problems.
        problems: How many validation problems.
        horizon: The step whose loss counts.
        grid: The rates that are screened; `Grid()` where it is None.

    Returns:
        The best rate, and what was tried.
    """
    grid = Grid() if grid is None else grid
    trials = _Trials(_AtRate(make, horizon), task, key, problems)
    screened = _screen(trials, grid)
    return _refine(trials, grid, _finite_best(screened, horizon), 0.0, screened)


def tune_baseline(
    baseline: Baseline,
    task: TaskFamily,
    *,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
    grid: Grid | None = None,
) -> Tuned:
    """The learning rate, and the second setting, whose mean loss at the horizon is lowest.

    With the second setting at its default, the grid of rates is screened as in `tune`. Two other
    values are then tried at four rates each, around the best one, on the same quarter of the
    problems. Rates around the best of all meet all problems, as in `tune`, and the best rate of
    the default is among them. Every baseline with a second setting has these eight tries, in one
    batch. One without is tuned as in `tune`.

    Args:
        baseline: The baseline. One with a `rate` of its own is run once, at that.
        task: The family of problems.
        key: Draws the validation problems.
        problems: How many validation problems.
        horizon: The step whose loss counts.
        grid: The rates that are screened; `Grid()` where it is None.

    Returns:
        The best rate and second setting, and the rates tried at that.
    """
    grid = Grid() if grid is None else grid
    trials = _Trials(_AtHorizon(baseline, horizon), task, key, problems)
    default = baseline.values[0] if baseline.values else 0.0
    if baseline.rate is not None:
        return Tuned(baseline.rate, trials.of([baseline.rate], default), {})
    screened = _screen(trials, grid, default)
    first = _finite_best(screened, horizon)
    if len(baseline.values) < 2:
        return _refine(trials, grid, first, default, screened)
    coarse = 10 ** (1 / grid.points_per_decade)
    others = [(first * coarse**k, each) for each in baseline.values[1:] for k in _BESIDE]
    losses = {(first, default): screened[first], **trials.run(others, trials.few)}
    rate, second = min(losses, key=lambda pair: losses[pair])
    # What a quarter of the problems prefers has to hold on all of them.
    on_all = trials.run([(first, default), *_around(rate, second, grid)], trials.problems)
    if on_all[first, default] == min(on_all.values()):
        rate, second = first, default
    tuned = _refine(trials, grid, rate, second, screened)
    return dataclasses.replace(tuned, second=second)


@dataclasses.dataclass(frozen=True)
class _AtHorizon:
    """The rule of a baseline at a rate and a second setting."""

    baseline: Baseline
    horizon: int

    def __call__(self, rate: Rate, second: Rate) -> Rule:
        return self.baseline.rule(rate, horizon=self.horizon, second=second)


@dataclasses.dataclass(frozen=True)
class _AtRate:
    """A rule that has no second setting."""

    make: Callable[[Rate], Rule]
    horizon: int

    def __call__(self, rate: Rate, second: Rate) -> Rule:
        return self.make(rate)


class _Trials:
    """Settings of one optimizer run on validation problems: each once, by one program for all."""

    def __init__(self, make: _AtHorizon | _AtRate, task: TaskFamily, key: Any, problems: int):
        self.make, self.problems = make, problems
        self.few = min(problems, max(2, -(-problems // 4)))
        # As many problems in a batch as fill the devices, whose number changes no result.
        size = min(problems, round_up(self.few))
        self.at_once = 1 if task.one_by_one else _AT_ONCE
        self.mesh = problem_mesh(size)
        self.task = replicate(task, self.mesh)
        # Always as many problems in a batch, the first ones again if need be.
        places = np.arange(round_up(problems, size)).reshape(-1, size) % problems
        keys = jax.random.split(key, problems)
        self.keys = [shard(keys[place], self.mesh) for place in places]
        self.size = size
        self.known: dict[tuple[Pair, int], float] = {}

    def of(self, rates: list[float], second: float, problems: int | None = None):
        """The mean final loss of each rate, by rate."""
        found = self.run([(rate, second) for rate in rates], problems or self.problems)
        return {rate: loss for (rate, _), loss in found.items()}

    def run(self, pairs: list[Pair], problems: int) -> dict[Pair, float]:
        """The mean final loss of each (rate, second setting) on the first `problems`."""
        new = [pair for pair in dict.fromkeys(pairs) if (pair, problems) not in self.known]
        for first in range(0, len(new), self.at_once):
            some = new[first : first + self.at_once]
            # Always as many at once, the last repeated if need be.
            padded = np.asarray(some + some[-1:] * (self.at_once - len(some)), np.float32)
            losses = np.concatenate(
                [self._losses(padded, part) for part in self.keys[: -(-problems // self.size)]],
                axis=1,
            )
            means = losses[:, :problems].mean(axis=1, dtype=float)
            for pair, loss in zip(some, means, strict=False):
                self.known[pair, problems] = float(loss) if np.isfinite(loss) else math.inf
        return {pair: self.known[pair, problems] for pair in pairs}

    def _losses(self, pairs: np.ndarray, keys: Any) -> np.ndarray:
        return np.asarray(
            _final_losses(
                self.make, jnp.asarray(pairs), self.task, keys, self.make.horizon, self.mesh
            )
        )


def _screen(trials: _Trials, grid: Grid, second: float = 0.0) -> dict[float, float]:
    """The grid of rates on a quarter of the problems, extended while its edge is best."""
    screened = trials.of(grid.rates(), second, trials.few)
    for _ in range(_MOST_DECADES):
        more = _beyond(screened, 10 ** (1 / grid.points_per_decade), grid.points_per_decade)
        if not more:
            break
        screened |= trials.of(more, second, trials.few)
    return screened


def _around(rate: float, second: float, grid: Grid) -> list[Pair]:
    """Rates around one, at three times the density of the grid."""
    return [(rate * _fine(grid) ** k, second) for k in range(-3, 4)]


def _fine(grid: Grid) -> float:
    return 10 ** (1 / (3 * grid.points_per_decade))


def _refine(
    trials: _Trials, grid: Grid, rate: float, second: float, screened: dict[float, float]
) -> Tuned:
    """The best of the rates around one on all problems, extended while the edge is best."""
    tried = trials.of([each for each, _ in _around(rate, second, grid)], second)
    for _ in range(_MOST_DECADES):
        more = _beyond(tried, _fine(grid), 3)
        if not more:
            break
        tried |= trials.of(more, second)
    best = _finite_best(tried, trials.make.horizon)
    return Tuned(best, dict(sorted(tried.items())), dict(sorted(screened.items())))


def _finite_best(losses: dict[float, float], horizon: int) -> float:
    best = _best(losses)
    if not math.isfinite(losses[best]):
        raise InnerloopError(
            f"No learning rate from {min(losses):.1g} to {max(losses):.1g} gives a finite loss "
            f"after {horizon} steps of this task."
        )
    return best


def _best(losses: dict[float, float]) -> float:
    return min(losses, key=lambda rate: losses[rate])


def _beyond(losses: dict[float, float], factor: float, count: int) -> list[float]:
    """`count` more rates beyond the edge that the best one lies on; none where it lies inside.

    Where no loss is finite, smaller rates are what to try.
    """
    best = _best(losses)
    if not math.isfinite(losses[best]) or best == min(losses):
        return [min(losses) / factor**k for k in range(count, 0, -1)]
    if best == max(losses):
        return [best * factor**k for k in range(1, count + 1)]
    return []


@eqx.filter_jit
def _final_losses(
    make: Callable[[Rate, Rate], Rule],
    pairs: Float[Array, "pairs 2"],
    task: TaskFamily,
    keys: Key[Array, " problems"],
    horizon: int,
    mesh: Mesh,
) -> Float[Array, "pairs problems"]:
    def local(shared, keys):
        task, pairs = shared

        def final(pair):
            losses, _ = run(make(pair[0], pair[1]), task, keys, (horizon,))
            return losses[-1]

        return over_batch(task, final)(pairs)

    along = jax.sharding.PartitionSpec(None, "problems")
    return over_problems(local, mesh, (task, pairs), keys, along)
