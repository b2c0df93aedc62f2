"""Tuning a baseline's learning rate, as hard as ours was trained."""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError
from ..evaluation import run
from ..mesh import over_problems, problem_mesh, replicate, spread
from ..rules import Rule
from ..tasks import Task, over_batch

_AT_ONCE = 8  # Rates that run in one batch.
_MOST_DECADES = 6  # How far the grid extends itself in either direction.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """A logarithmic grid of learning rates, `low` to `high`.

    Raises `InnerloopError` unless it spans more than one rate, all of them positive, at
    four points a decade or more.
    """

    low: float = 1e-4
    high: float = 1.0
    points_per_decade: int = 4

    def __post_init__(self):
        if not 0 < self.low < self.high < math.inf:
            raise InnerloopError(
                f"The learning-rate grid {self.low:g} … {self.high:g} is no grid: its low end must "
                "be positive and below its high end, so that there is more than one rate to try."
            )
        if self.points_per_decade < 4:
            raise InnerloopError(
                f"points_per_decade is {self.points_per_decade}; an honest grid has at least 4."
            )

    def rates(self) -> list[float]:
        """The rates, in rising order: 10^(k / points_per_decade) for whole k."""
        first = round(math.log10(self.low) * self.points_per_decade)
        last = round(math.log10(self.high) * self.points_per_decade)
        return [self._rate(k) for k in range(first, max(last, first + 1) + 1)]

    def _rate(self, k: int) -> float:
        return float(10 ** (k / self.points_per_decade))


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The best rate, and the mean final loss that every rate tried gave on validation."""

    learning_rate: float
    tried: dict[float, float]


def tune(
    make: Callable[[Float[Array, ""]], Rule],
    task: Task,
    *,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
    grid: Grid | None = None,
    mesh: Mesh | None = None,
) -> Tuned:
    """The learning rate whose mean loss at the horizon is lowest on validation problems.

    All rates meet the same problems. While the best rate lies on an edge, the grid goes on
    by a decade; then the gaps beside the best are filled at three times the density. A rate
    whose loss is not finite on any problem counts as infinite. Raises `InnerloopError` where
    every rate diverges.
    """
    grid = Grid() if grid is None else grid
    mesh = problem_mesh(problems) if mesh is None else mesh
    keys = spread(jax.random.split(key, problems), mesh)
    task = replicate(task, mesh)
    tried: dict[float, float] = {}
    at_once = 1 if task.one_by_one else _AT_ONCE

    def attempt(rates: list[float]) -> float:
        for first in range(0, len(rates), at_once):
            some = rates[first : first + at_once]
            # Always as many at once, the last repeated if need be: one compilation for all.
            padded = jnp.asarray(some + some[-1:] * (at_once - len(some)))
            losses = np.asarray(_final_losses(make, padded, task, keys, horizon, mesh))
            for rate, loss in zip(some, losses.mean(axis=1, dtype=float), strict=False):
                tried[rate] = float(loss) if np.isfinite(loss) else math.inf
        return min(tried, key=lambda rate: tried[rate])

    best = attempt(grid.rates())
    factor = 10 ** (1 / grid.points_per_decade)
    for _ in range(_MOST_DECADES):
        if not math.isfinite(tried[best]) or best == min(tried):
            edge = min(tried)
            more = [edge / factor**k for k in range(grid.points_per_decade, 0, -1)]
        elif best == max(tried):
            edge = max(tried)
            more = [edge * factor**k for k in range(1, grid.points_per_decade + 1)]
        else:
            break
        best = attempt(more)
    if not math.isfinite(tried[best]):
        raise InnerloopError(
            f"No learning rate from {min(tried):.1g} to {max(tried):.1g} gives a finite loss "
            f"after {horizon} steps of this task."
        )
    best = attempt([best * factor ** (k / 3) for k in (-2, -1, 1, 2)])
    return Tuned(best, dict(sorted(tried.items())))


@eqx.filter_jit
def _final_losses(
    make: Callable[[Float[Array, ""]], Rule],
    rates: Float[Array, " rates"],
    task: Task,
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
