"""The last round: more validation problems for the few at the top, and the price of a step."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from ..comparison import prices
from ..evaluation import evaluate
from ..tasks import TaskFamily
from .baselines import Contestant, best_first_order
from .halving import rank
from .look import Look
from .score import final, is_open

FINALISTS = 3
_ROUNDS = 3
"""How many times as many problems they meet as before, besides those."""
_MOST_ROUNDS = 31
"""The same, where it is open by then who is best."""
_KEPT = 0.075
"""The part of the budget that more rounds than usual leave for the test; the others leave half."""


def last_round(
    ranked: list[Contestant],
    task: TaskFamily,
    look: Look,
    *,
    key: PRNGKeyArray,
    budget: float,
    left: Callable[[], float],
) -> list[Contestant]:
    """`ranked` with the few at its top, and the best baseline, ranked again.

    A few problems on which an optimizer fails decide its mean, and may not be among the first.

    Args:
        ranked: The best first.
        task: The family of validation problems.
        look: What was seen of the task.
        key: Draws problems that were not met before.
        budget: Seconds of the whole search.
        left: Seconds that are left, 0 or less for none.
    """
    baselines = [each for each in ranked if each.learns == "nothing"]
    bar = min(baselines, key=lambda each: final(each.losses))
    first = best_first_order(baselines)
    top = list({each.name: each for each in (*ranked[:FINALISTS], bar, first)}.values())
    problems = ranked[0].losses.shape[1]

    def more(each: Contestant, number: int) -> Contestant:
        found = evaluate(
            *(each.rule, task),
            key=jax.random.fold_in(key, number),
            problems=problems,
            marks=(look.horizon,),
        ).losses
        return dataclasses.replace(each, losses=np.concatenate([each.losses, found], axis=1))

    spent = len(top) * problems * look.horizon * look.gradient_seconds
    for number in range(_MOST_ROUNDS):
        before, usual = left(), number < _ROUNDS
        if before - spent <= (_KEPT / 2 if usual else _KEPT) * budget:
            break
        if not usual and not is_open([each.losses for each in top]):
            break
        top = [more(each, number) for each in top]
        spent = before - left()
    measured = prices({each.name: each.rule for each in top}, task, key=key, turns=9)
    costs = {name: price.seconds_per_step for name, price in measured.items()}
    names = {each.name for each in top}
    again = rank(top, [each for each in top if each.learns == "nothing"], costs)
    return [*again, *(each for each in ranked if each.name not in names)]
