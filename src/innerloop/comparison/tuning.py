"""Tuning a baseline's learning rate, as hard as ours was trained."""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError, SettingsError
from ..evaluation import run
from ..rules import Rule
from ..runtime.devices import over_problems, problem_mesh, replicate, shard
from ..runtime.settings import Positive, Range, check
from ..tasks import TaskFamily, over_batch

_AT_ONCE = 8  # Rates that run in one batch.
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
    """
    grid = Grid() if grid is None else grid
    keys = jax.random.split(key, problems)
    at_once = 1 if task.one_by_one else _AT_ONCE

    def attempt(rates: list[float], keys: Key[Array, " problems"]) -> dict[float, float]:
        mesh = problem_mesh(len(keys))
        shared, spread_keys = replicate(task, mesh), shard(keys, mesh)
        found = {}
        for first in range(0, len(rates), at_once):
            some = rates[first : first + at_once]
            # Always as many at once, the last repeated if need be: one compilation for all.
            padded = jnp.asarray(some + some[-1:] * (at_once - len(some)))
            losses = np.asarray(_final_losses(make, padded, shared, spread_keys, horizon, mesh))
            for rate, loss in zip(some, losses.mean(axis=1, dtype=float), strict=False):
                found[rate] = float(loss) if np.isfinite(loss) else math.inf
        return found

    few = keys[: -(-problems // 4)]
    screened = attempt(grid.rates(), few)
    per_decade = grid.points_per_decade
    for _ in range(_MOST_DECADES):
        more = _beyond(screened, 10 ** (1 / per_decade), per_decade)
        if not more:
            break
        screened |= attempt(more, few)
    fine = 10 ** (1 / (3 * per_decade))
    tried = attempt([_finite_best(screened, horizon) * fine**k for k in range(-3, 4)], keys)
    for _ in range(_MOST_DECADES):
        more = _beyond(tried, fine, 3)
        if not more:
            break
        tried |= attempt(more, keys)
    best = _finite_best(tried, horizon)
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
    make: Callable[[Float[Array, ""]], Rule],
    rates: Float[Array, " rates"],
    task: TaskFamily,
    keys: Key[Array, " problems"],
    horizon: int,
    mesh: Mesh,
) -> Float[Array, "rates problems"]:
    def local(shared, keys):
        task, rates = shared

        def final(rate):
            losses, _ = run(make(rate), task, keys, (horizon,))
            return losses[-1]

        return over_batch(task, final)(rates)

    along = jax.sharding.PartitionSpec(None, "problems")
    return over_problems(local, mesh, (task, rates), keys, along)
