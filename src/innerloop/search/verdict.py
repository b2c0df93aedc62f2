"""The end of a search: the finalists meet test problems that nobody saw."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ..comparison.comparison import interval
from ..comparison.speedup import Speedup, speedup
from ..evaluation import evaluate, run
from ..rules import Rule
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
    times = {
        each.name: seconds_per_step(each.rule, task, key, look.horizon)
        for each in {tested.name: tested, rival.name: rival}.values()
    }
    ahead = None
    if rival is not tested:
        price = times[tested.name] / times[rival.name]
        ahead = speedup(tested.losses, rival.losses, horizon=look.horizon, price=price)
    return Verdict(tested, others, times, ahead)


def seconds_per_step(rule: Rule, task: TaskFamily, key: PRNGKeyArray, horizon: int) -> float:
    """Seconds of a step and its gradient, of one problem alone in a compiled loop.

    Args:
        rule: The rule.
        task: The family that the problem is of.
        key: Draws the problem.
        horizon: Steps of the loop.
    """
    steps, times = max(10, horizon), []
    jax.block_until_ready(_alone(rule, task, key, steps))
    began = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - began < 0.2 and len(times) < 200):
        now = time.perf_counter()
        jax.block_until_ready(_alone(rule, task, key, steps))
        times.append(time.perf_counter() - now)
    return float(np.median(times)) / (steps + 1)


@eqx.filter_jit
def _alone(rule: Rule, task: TaskFamily, key: PRNGKeyArray, horizon: int) -> Array:
    return run(rule, task, key[None], (horizon,))[0]


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
