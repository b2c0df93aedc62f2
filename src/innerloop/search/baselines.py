"""The bar: hand-designed optimizers, tuned on validation problems."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from ..comparison import BASELINES
from ..rules import BFGSRule, LBFGSRule, OptaxRule, Rule
from ..runtime.devices import round_up
from ..tasks import TaskFamily
from .look import Look
from .runs import runs
from .score import Curves, final

ORDER = ("adam", "nesterov", "rmsprop", "adamw", "sgd")
"""Which baselines are tuned first, where the budget may not be enough for all."""
_RATES = 8  # That run at once.
DENSE = 64  # Coordinates up to which the whole inverse Hessian is kept.


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An optimizer with its runs on the validation problems."""

    name: str
    rule: Rule
    losses: Curves
    learns: str = "nothing"
    """ "nothing", "rule", or "initialisation and rule"."""
    first_order: bool = True
    rate: float | None = None
    seconds: float = 0.0
    """Spent on it."""


def validation_problems(look: Look, seconds: float) -> int:
    """How many problems the budget allows to tune and judge on."""
    gradients = 0.2 * seconds / look.gradient_seconds
    return round_up(int(np.clip(gradients // (6 * 3 * _RATES * look.horizon), 4, 64)))


def tune_baselines(
    task: TaskFamily,
    look: Look,
    *,
    key: PRNGKeyArray,
    problems: int,
    late: Callable[[], bool],
    report: Callable[[str], None],
) -> list[Contestant]:
    """The tuned baselines; at least Adam and, where the loss has no noise, L-BFGS.

    Args:
        task: The family of validation problems.
        look: What was seen of it.
        key: Draws the problems.
        problems: How many there are.
        late: Whether there is time for those alone that are needed.
        report: Called with a line of progress.
    """
    order = [*ORDER, *(name for name in BASELINES if name not in ORDER)]
    makes: dict[str, tuple[Any, bool]] = {
        name: (_Optax(BASELINES[name]), True) for name in order if name in BASELINES
    }
    if not look.noisy:
        second = {"l-bfgs": (LBFGSRule, False)}
        if look.coordinates <= DENSE:
            second["bfgs"] = (BFGSRule, False)
        makes = {"adam": makes.pop("adam"), **second, **makes}
    found: list[Contestant] = []
    for name, (make, first_order) in makes.items():
        needed = name == "adam" or not first_order
        if not needed and late():
            report(f"no time for {name}")
            continue
        report(f"tuning {name}")
        rate, losses = _tune(make, task, key, problems, look.horizon)
        if losses is not None:
            found.append(Contestant(name, make(rate), losses, "nothing", first_order, rate))
    return found


@dataclasses.dataclass(frozen=True)
class _Optax:
    """A function from a rate to a rule, the same one whenever it is made."""

    make: Callable[..., Any]

    def __call__(self, rate: Any) -> Rule:
        return OptaxRule(self.make, rate)


def _tune(
    make: Callable[[Any], Rule], task: TaskFamily, key: PRNGKeyArray, problems: int, horizon: int
) -> tuple[float, Curves | None]:
    """(rate, losses) of the best rate: a coarse grid, extended at its edges, then a fine one."""
    tried: dict[float, Curves] = {}

    def attempt(exponents: list[float]) -> float:
        rates = [10**each for each in exponents]
        losses = runs(make, rates, task, key=key, problems=problems, horizon=horizon)
        tried.update(zip(exponents, losses, strict=True))
        return min(tried, key=lambda each: final(tried[each]))

    coarse = [-3.5 + k / 2 for k in range(_RATES)]
    best = attempt(coarse)
    for _ in range(3):
        diverged = not math.isfinite(final(tried[best]))
        if diverged or best == min(tried):
            best = attempt([min(tried) - k / 2 for k in range(_RATES, 0, -1)])
        elif best == max(tried):
            best = attempt([best + k / 2 for k in range(1, _RATES + 1)])
        else:
            break
    if not math.isfinite(final(tried[best])):
        return 0.0, None
    best = attempt([best + k / 10 for k in (-4, -3, -2, -1, 1, 2, 3, 4)])
    return 10**best, tried[best]
