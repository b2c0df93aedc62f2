"""The end of a search: the finalists meet test problems that nobody saw."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from ..comparison import prices
from ..comparison.comparison import interval
from ..comparison.speedup import Speedup, speedup
from ..evaluation import evaluate
from ..runtime.devices import round_up
from ..tasks import TaskFamily
from .baselines import Contestant, best_first_order
from .look import Look
from .score import final

_LEAST = 4  # Test problems.
_USUAL = 16
"""Test problems at least, where they take no more than some seconds."""
_SOME_SECONDS = 5.0
_AT_ONCE = 128
_SHARE = 0.7  # Of the time that is left; the rest is for what a step costs, and for reports.


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the test problems say."""

    winner: Contestant
    """The optimizer that is handed over, with its runs on the test problems."""
    others: list[Contestant]
    """Baselines, with their runs on the same problems."""
    seconds: dict[str, float]
    """Seconds of a step, with its gradient, of a problem alone; of the winner and its rival."""
    speedup: Speedup | None
    """Of the winner over the best first-order baseline; None where they are the same."""

    @property
    def rival(self) -> Contestant:
        """The best first-order baseline."""
        return best_first_order([*self.others, self.winner])

    @property
    def problems(self) -> int:
        """How many test problems there are."""
        return self.winner.losses.shape[1]

    def rows(self) -> dict[str, dict[str, Any]]:
        """For each optimizer, its mean loss at the horizon with its interval, and a step's time."""
        return {
            each.name: {
                "final": _finite(final(each.losses)),
                "ci95": _finite(interval(each.losses[-1])),
                "median": _finite(float(np.median(each.losses[-1]))),
                "seconds_per_step": self.seconds.get(each.name),
            }
            for each in (self.winner, *self.others)
        }


def test(
    winner: Contestant,
    baselines: list[Contestant],
    task: TaskFamily,
    look: Look,
    *,
    key: PRNGKeyArray,
    most: int,
    seconds: float,
    clock: Callable[[], float],
) -> Verdict:
    """Run the winner and the baselines on test problems: the best first, the others if in time.

    Args:
        winner: What is handed over.
        baselines: What it is compared with.
        task: The family of test problems.
        look: What was seen of the task.
        key: Draws the problems.
        most: The most problems.
        seconds: What is left of the budget.
        clock: What seconds are counted by.
    """
    left, until = max(0.0, seconds), clock() + _SHARE * max(0.0, seconds)
    one = look.gradient_seconds * look.horizon
    least = _USUAL if _USUAL * one < _SOME_SECONDS else _LEAST
    room = 0.15 * left / one
    problems = round_up(int(np.clip(room, min(least, most), min(_AT_ONCE, most))))

    def run(each: Contestant, number: int) -> Contestant:
        key_of_round, marks = jax.random.fold_in(key, number), (look.horizon,)
        curves = evaluate(each.rule, task, key=key_of_round, problems=problems, marks=marks).losses
        if number:
            curves = np.concatenate([each.losses, curves], axis=1)
        return dataclasses.replace(each, losses=curves)

    rival = best_first_order(baselines)
    ranked = sorted(baselines, key=lambda each: (each is not rival, each.first_order))
    ranked = [winner, *(each for each in ranked if each.name != winner.name)]
    tested, *others = _rounds(ranked, run, most // problems, until, clock)
    rival = best_first_order([*others, tested])
    measured = prices({each.name: each.rule for each in (tested, rival)}, task, key=key, turns=9)
    times = {name: price.seconds_per_step for name, price in measured.items()}
    ahead = None
    if rival is not tested:
        price = measured[tested.name].over(measured[rival.name])
        ahead = speedup(tested.losses, rival.losses, horizon=look.horizon, price=price)
    return Verdict(tested, others, times, ahead)


def _rounds(
    ranked: list[Contestant],
    run: Callable[[Contestant, int], Contestant],
    most: int,
    until: float,
    clock: Callable[[], float],
) -> list[Contestant]:
    """The first few of `ranked`, or all that there is time for, on equally many problems.

    Args:
        ranked: Who comes first.
        run: An optimizer with its runs on the problems of one more round.
        most: The most rounds.
        until: When to end, by `clock`.
        clock: What seconds are counted by.
    """
    began, tested = clock(), []
    for each in ranked:
        if len(tested) > 1 and clock() > until:
            break
        tested.append(run(each, 0))
    spent = clock() - began  # With compilation: the next round takes less.
    for number in range(1, most):
        before = clock()
        if before + spent > until:
            break
        tested = [run(each, number) for each in tested]
        spent = clock() - before
    return tested


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
