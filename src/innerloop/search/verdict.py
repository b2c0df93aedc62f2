"""The end of a search: the finalists meet test problems that nobody saw."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from ..comparison import prices
from ..comparison.comparison import interval
from ..comparison.speedup import Speedup, speedup
from ..evaluation import evaluate
from ..runtime.devices import round_up
from ..tasks import TaskFamily
from .baselines import Contestant
from .look import Look
from .score import final


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


def best_first_order(contestants: list[Contestant]) -> Contestant:
    """The baseline of first order with the lowest mean loss at the horizon."""
    baselines = [each for each in contestants if each.first_order and each.learns == "nothing"]
    return min(baselines, key=lambda each: final(each.losses))


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
    left, began = max(0.0, seconds), clock()
    room = 0.15 * left / (look.gradient_seconds * look.horizon)
    problems = round_up(int(np.clip(room, min(16, most), most)))

    def on_test(each: Contestant) -> Contestant:
        curves = evaluate(each.rule, task, key=key, problems=problems, marks=(look.horizon,))
        return dataclasses.replace(each, losses=curves.losses)

    rival = best_first_order(baselines)
    ranked = sorted(baselines, key=lambda each: (each is not rival, each.first_order))
    tested, others = on_test(winner), []
    for each in ranked:
        if each.name == winner.name:
            continue
        if others and clock() - began > 0.7 * left:
            break
        others.append(on_test(each))
    rival = best_first_order([*others, tested])
    measured = prices({each.name: each.rule for each in (tested, rival)}, task, key=key, turns=9)
    times = {name: price.seconds_per_step for name, price in measured.items()}
    ahead = None
    if rival is not tested:
        price = measured[tested.name].over(measured[rival.name])
        ahead = speedup(tested.losses, rival.losses, horizon=look.horizon, price=price)
    return Verdict(tested, others, times, ahead)


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
