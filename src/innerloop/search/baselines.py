"""The bar: hand-designed optimizers, tuned on validation problems."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from ..comparison import Baseline, choose
from ..rules import BFGSRule, LBFGSRule, Rule
from ..runtime.compilation import clear_programs_near_limit
from ..runtime.devices import round_up
from ..tasks import TaskFamily
from .look import Look
from .runs import runs
from .score import Curves, final

ORDER = ("adam", "adamw-cosine", "nesterov-cosine", "nesterov", "muon-cosine")
"""Which baselines are tuned first, where the budget may not be enough for all."""
_RATES = 8  # That run at once.
DENSE = 64  # Coordinates up to which the whole inverse Hessian is kept.
FEW = 1000  # Coordinates up to which a long memory costs a step nearly nothing.
LONG, SHORT = 20, 7  # Steps that scaled L-BFGS remembers.


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
    return round_up(int(np.clip(gradients // (6 * 3 * _RATES * look.horizon), 2, 64)))


def tune_baselines(
    task: TaskFamily,
    look: Look,
    *,
    key: PRNGKeyArray,
    problems: int,
    late: Callable[[], bool],
    stopped: Callable[[], bool],
    report: Callable[[str], None],
) -> list[Contestant]:
    """The tuned baselines; at least Adam and, where the loss has no noise, L-BFGS.

    After a stop it is Adam alone, or what is tuned by then.

    Args:
        task: The family of validation problems.
        look: What was seen of it.
        key: Draws the problems.
        problems: How many there are.
        late: Whether there is time for those alone that are needed.
        stopped: Whether the search was asked to stop.
        report: Called with a line of progress.
    """
    known = choose(())
    order = [*ORDER, *(name for name in known if name not in ORDER)]
    makes: dict[str, tuple[Any, bool]] = {
        name: (_OfBaseline(known[name], look.horizon), True) for name in order if name in known
    }
    if not look.noisy:
        quasi_newton: dict[str, tuple[Any, bool]] = {
            "l-bfgs": (_OfRate(LBFGSRule), False),
            "scaled-l-bfgs": (_OfPower(LONG if look.coordinates <= FEW else SHORT), False),
        }
        if look.coordinates <= DENSE:
            quasi_newton["bfgs"] = (_OfRate(BFGSRule), False)
        makes = {"adam": makes.pop("adam"), **quasi_newton, **makes}
    found: list[Contestant] = []
    left_out: list[str] = []
    for name, (make, first_order) in makes.items():
        needed = name == "adam" or not (first_order or stopped())
        if not needed and (stopped() or late()):
            left_out.append(name)
            continue
        clear_programs_near_limit()
        report(f"tuning {name}")
        (rate, second), losses = _tune(make, task, key, problems, look.horizon)
        if losses is not None:
            rule = make(rate, second)
            found.append(Contestant(name, rule, losses, "nothing", first_order, rate))
    if left_out and not stopped():
        report(f"No time to tune {', '.join(left_out)}.")
    return found


@dataclasses.dataclass(frozen=True)
class _OfBaseline:
    """A baseline at a learning rate and a second setting."""

    baseline: Baseline
    horizon: int

    @property
    def values(self) -> tuple[float, ...]:
        """The second settings that are tried, the default first."""
        return self.baseline.values or (0.0,)

    def __call__(self, rate: Any, second: Any) -> Rule:
        return self.baseline.rule(rate, horizon=self.horizon, second=second)


@dataclasses.dataclass(frozen=True)
class _OfRate:
    """A rule that has no second setting."""

    make: Callable[[Any], Rule]
    values: tuple[float, ...] = (0.0,)

    def __call__(self, rate: Any, second: Any) -> Rule:
        return self.make(rate)


@dataclasses.dataclass(frozen=True)
class _OfPower:
    """L-BFGS at a first length, and at a power by which it scales coordinates."""

    memory: int
    values: tuple[float, ...] = (0.5, 0.25, 1.0)

    def __call__(self, rate: Any, second: Any) -> Rule:
        return LBFGSRule(rate, self.memory, second)


def _tune(
    make: _OfBaseline | _OfRate | _OfPower,
    task: TaskFamily,
    key: PRNGKeyArray,
    problems: int,
    horizon: int,
) -> tuple[tuple[float, float], Curves | None]:
    """((rate, second setting), losses) of the best that is found.

    A coarse grid of rates is extended at its edges; then come finer rates, and other values of
    the second setting. All meet the same problems.
    """
    tried: dict[tuple[float, float], Curves] = {}

    def attempt(exponents: list[float], seconds: Iterable[float]) -> tuple[float, float]:
        pairs = [(exponent, second) for second in seconds for exponent in exponents]
        for first in range(0, len(pairs), _RATES):
            some = pairs[first : first + _RATES]
            # Always as many at once, the last repeated if need be: one program for all.
            padded = some + some[-1:] * (_RATES - len(some))
            rates = [(10**exponent, second) for exponent, second in padded]
            losses = runs(make, rates, task, key=key, problems=problems, horizon=horizon)
            tried.update(zip(some, losses, strict=False))
        return min(tried, key=lambda each: final(tried[each]))

    default, *others = make.values
    best = attempt([-3.5 + k / 2 for k in range(_RATES)], [default])
    for _ in range(3):
        edges = [exponent for exponent, _ in tried]
        if not math.isfinite(final(tried[best])) or best[0] == min(edges):
            best = attempt([min(edges) - k / 2 for k in range(_RATES, 0, -1)], [default])
        elif best[0] == max(edges):
            best = attempt([best[0] + k / 2 for k in range(1, _RATES + 1)], [default])
        else:
            break
    if not math.isfinite(final(tried[best])):
        return (0.0, default), None
    best = attempt([best[0] + k / 10 for k in (-4, -3, -2, -1, 1, 2, 3, 4)], [default])
    if others:
        best = attempt([best[0] + k / 4 for k in (-2, -1, 0, 1)], others)
    return (10 ** best[0], best[1]), tried[best]
