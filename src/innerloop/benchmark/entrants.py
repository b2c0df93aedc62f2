"""What takes part in a benchmark: rules and baselines, as they are or with one scalar tuned."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..comparison import Baseline, Grid, choose, lbfgs, tune
from ..errors import InnerloopError
from ..evaluation import evaluate
from ..rules import Rule
from ..runtime.storage import is_numeric, named_leaves
from ..tasks import TaskFamily
from .settings import REFERENCE, BenchmarkSettings, Table

RATES = Grid()
"""The learning rates that are tried of a baseline first: 17."""
FACTORS = Grid(low=1e-2, high=1e2)
"""The factors of a rule's steps that are tried first: as many, with 1 in the middle."""


class Scaled(Rule):
    """A rule whose steps are multiplied by one number."""

    rule: Rule
    factor: Float[Array, ""]

    def init(self, params: PyTree) -> PyTree:
        return self.rule.init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        updates, state = self.rule.update(grads, state, params, value=value, **extra)
        return jax.tree.map(lambda u: (self.factor * u).astype(u.dtype), updates), state

    def eval_params(self, state: PyTree, params: PyTree) -> PyTree:
        return self.rule.eval_params(state, params)


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An optimizer in one table of a benchmark."""

    name: str
    table: Table
    identity: str
    """What the results that are kept are of: another rule of the same name has another."""
    make: Callable[[Any, int], Rule]
    """(scalar, horizon) → the rule; the scalar may be traced, and is None in *untouched*."""
    grid: Grid | None = None
    """The scalars that are tried first; None in *untouched*."""

    def tune(
        self, task: TaskFamily, *, key: PRNGKeyArray, problems: int, horizon: int
    ) -> float | None:
        """The scalar whose loss at the horizon is lowest; None where there is nothing to tune.

        Where every scalar diverges it is the lowest one of the grid: the runs will show it.
        """
        if self.grid is None:
            return None
        make = _AtHorizon(self.make, horizon)
        try:
            found = tune(make, task, key=key, problems=problems, horizon=horizon, grid=self.grid)
        except InnerloopError:
            return self.grid.low
        return found.learning_rate

    def run(
        self, task: TaskFamily, scalar: float | None, *, key: PRNGKeyArray, horizon: int
    ) -> Float[np.ndarray, " steps"]:
        """The losses of one run at steps 0 … horizon, on the problem that `key` draws."""
        rule = self.make(None if scalar is None else jnp.float32(scalar), horizon)
        return evaluate(rule, task, key=key, problems=1, marks=(horizon,)).losses[:, 0]


@dataclasses.dataclass(frozen=True)
class SecondOrder(Entrant):
    """L-BFGS, counted by evaluations of the gradient."""

    def run(
        self, task: TaskFamily, scalar: float | None, *, key: PRNGKeyArray, horizon: int
    ) -> Float[np.ndarray, " steps"]:
        return lbfgs(task, key=key, problems=1, steps=horizon).losses[:, 0]


def entrants_of(
    rules: Mapping[str, Rule],
    settings: BenchmarkSettings,
    *,
    second_order: bool = False,
    over_adam: bool = True,
) -> list[Entrant]:
    """All that take part, the rules first.

    Args:
        rules: The learned rules by name.
        settings: The tables and their baselines.
        second_order: Whether L-BFGS takes part, untouched.
        over_adam: Whether tuned Adam takes part whatever the tables are, since speed-ups are over
            it.
    """
    found: list[Entrant] = []
    if "untouched" in settings.tables:
        found += [_as_it_is(name, rule) for name, rule in rules.items()]
        found += [
            _baseline(each, "untouched")
            for each in choose(settings.untuned_baselines).values()
            if each.rate is not None
        ]
        if second_order:
            found.append(SecondOrder("l-bfgs", "untouched", "l-bfgs", _no_rule))
    names = settings.tuned_baselines if "tuned" in settings.tables else ()
    if "tuned" in settings.tables:
        found += [_scaled(name, rule) for name, rule in rules.items()]
    names = (REFERENCE, *names) if over_adam else names
    if names:  # None at all would stand for every baseline.
        baselines = choose(names).values()
        found += [_baseline(each, "tuned") for each in baselines if each.rate is None]
    return found


@dataclasses.dataclass(frozen=True)
class _AtHorizon:
    """A function of the scalar alone, alike for two calls, so that one program serves both."""

    make: Callable[[Any, int], Rule]
    horizon: int

    def __call__(self, scalar: Float[Array, ""]) -> Rule:
        return self.make(scalar, self.horizon)


def _told(rule: Any, horizon: int) -> Rule:
    """The rule, told the length of the run if it has `with_horizon(steps)` to be told by."""
    return rule.with_horizon(horizon) if hasattr(rule, "with_horizon") else rule


def _as_it_is(name: str, rule: Rule) -> Entrant:
    return Entrant(name, "untouched", digest(rule), lambda scalar, horizon: _told(rule, horizon))


def _scaled(name: str, rule: Rule) -> Entrant:
    def make(scalar: Any, horizon: int) -> Rule:
        return Scaled(_told(rule, horizon), jnp.asarray(scalar, jnp.float32))

    return Entrant(name, "tuned", digest(rule), make, FACTORS)


def _baseline(baseline: Baseline, table: Table) -> Entrant:
    def make(scalar: Any, horizon: int) -> Rule:
        return baseline.rule(scalar, horizon=horizon)

    return Entrant(baseline.name, table, baseline.name, make, RATES if table == "tuned" else None)


def _no_rule(scalar: Any, horizon: int) -> Rule:
    raise NotImplementedError("L-BFGS is no rule.")


def digest(rule: Rule) -> str:
    """The same for rules with the same class, settings and numbers.

    Args:
        rule: Any rule.
    """
    found = hashlib.sha256(type(rule).__qualname__.encode())
    arrays, static = eqx.partition(rule, is_numeric)
    found.update(str(static).encode())
    for name, leaf in named_leaves(arrays).items():
        found.update(name.encode() + np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:16]
