"""The bar: hand-designed optimizers, tuned on validation problems."""

import contextlib
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
_ALONE = 1.0  # Seconds of a run, above which it runs alone.
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


def best_first_order(contestants: list[Contestant]) -> Contestant:
    """The baseline of first order with the lowest mean loss at the horizon."""
    baselines = [each for each in contestants if each.first_order and each.learns == "nothing"]
    return min(baselines, key=lambda each: final(each.losses))


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
    late: Callable[[float], bool],
    stopped: Callable[[], bool],
    report: Callable[[str], None],
) -> list[Contestant]:
    """The tuned baselines; at least Adam.

    Where the loss has no noise, quasi-Newton rules come next, L-BFGS first. One whose grid of
    rates is not run when time is out is left out; finer rates are tried as time allows. After a
    stop it is Adam alone, or what is tuned by then.

    Args:
        task: The family of validation problems.
        look: What was seen of it.
        key: Draws the problems.
        problems: How many there are.
        late: Takes N, a number of seconds; whether there is no time for a run of N seconds.
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
        needed = name == "adam"
        tuning = _Tuning(make, task, key, problems, look, late, needed)
        if not needed and (stopped() or late(tuning.batch_seconds)):
            left_out.append(name)
            continue
        clear_programs_near_limit()
        report(f"tuning {name}")
        best = tuning.best()
        if best is not None:
            rule, losses = make(10 ** best[0], best[1]), tuning.tried[best]
            found.append(Contestant(name, rule, losses, "nothing", first_order, 10 ** best[0]))
        elif tuning.unfinished:
            left_out.append(name)
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


class _Late(Exception):
    """There is no time to go on."""


@dataclasses.dataclass
class _Tuning:
    """The search for the best (exponent of the rate, second setting) of one baseline.

    A coarse grid of rates is extended at its edges; then come finer rates, and other values of
    the second setting. All meet the same problems.
    """

    make: _OfBaseline | _OfRate | _OfPower
    task: TaskFamily
    key: PRNGKeyArray
    problems: int
    look: Look
    late: Callable[[float], bool]
    needed: bool
    """Whether the coarse grid is run even if it is late."""
    tried: dict[tuple[float, float], Curves] = dataclasses.field(default_factory=dict)
    unfinished: bool = False
    """Whether there was no time for the coarse grid."""

    @property
    def run_seconds(self) -> float:
        """What one pair of settings takes, but for what is faster in a batch."""
        return self.look.gradient_seconds * self.problems * self.look.horizon

    @property
    def at_once(self) -> int:
        """How many pairs run in one batch."""
        return _RATES if self.run_seconds < _ALONE else 1

    @property
    def batch_seconds(self) -> float:
        """What a batch takes."""
        return self.at_once * self.run_seconds

    def best(self) -> tuple[float, float] | None:
        """The best that is found in time; None where there is none."""
        default, *others = self.make.values
        try:
            self._attempt([-3.5 + k / 2 for k in range(_RATES)], [default], coarse=True)
        except _Late:
            self.unfinished = True
            return None
        with contextlib.suppress(_Late):
            self._extend(default)
            if math.isfinite(final(self.tried[self._lowest()])):
                middle = self._lowest()[0]
                around = [middle + k / 10 for k in (-4, -3, -2, -1, 1, 2, 3, 4)]
                self._attempt(around, [default])
                middle = self._lowest()[0]
                if others:
                    self._attempt([middle + k / 4 for k in (-2, -1, 0, 1)], others)
        best = self._lowest()
        return best if math.isfinite(final(self.tried[best])) else None

    def _extend(self, default: float) -> None:
        for _ in range(3):
            edges, best = [exponent for exponent, _ in self.tried], self._lowest()
            if not math.isfinite(final(self.tried[best])) or best[0] == min(edges):
                self._attempt([min(edges) - k / 2 for k in range(_RATES, 0, -1)], [default])
            elif best[0] == max(edges):
                self._attempt([best[0] + k / 2 for k in range(1, _RATES + 1)], [default])
            else:
                return

    def _lowest(self) -> tuple[float, float]:
        return min(self.tried, key=lambda each: final(self.tried[each]))

    def _attempt(
        self, exponents: list[float], seconds: Iterable[float], coarse: bool = False
    ) -> None:
        """Run pairs of settings; raises `_Late` where there is no time for the next ones.

        Fine settings leave the time for the coarse grid of the next baseline.
        """
        at_once, for_next = self.at_once, 0.0 if coarse else _RATES * self.run_seconds
        pairs = [(exponent, second) for second in seconds for exponent in exponents]
        for first in range(0, len(pairs), at_once):
            if not (coarse and self.needed) and self.late(self.batch_seconds + for_next):
                raise _Late
            some = pairs[first : first + at_once]
            # Always as many at once, the last repeated if need be: one program for all.
            padded = some + some[-1:] * (at_once - len(some))
            losses = runs(
                self.make,
                [(10**exponent, second) for exponent, second in padded],
                self.task,
                key=self.key,
                problems=self.problems,
                horizon=self.look.horizon,
            )
            self.tried.update(zip(some, losses, strict=False))
