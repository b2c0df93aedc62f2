"""Successive halving: all candidates get some time, the better half twice as much, and so on."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from .. import registry
from ..errors import InnerloopError
from ..evaluation import evaluate
from ..rules.files import check_savable
from ..runtime.compilation import clear_programs_near_limit
from ..tasks import TaskFamily
from ._base import Candidate, Scene
from .baselines import Contestant, best_first_order
from .progress import Progress
from .score import Curves, final, log_speedup, may_win, standings
from .training import Training

SHORTEST_SECONDS = 15.0
"""What a candidate needs at least in the first round, most of it to be compiled."""
_RUNS = 10
"""The same, in runs of a problem: a meta-step or two, and the validation."""


@dataclasses.dataclass
class _Entrant:
    name: str
    candidate: Candidate
    training: Training | None = None
    best: Contestant | None = None
    seconds: float = 0.0


def choose(look: Any, seconds: float, names: tuple[str, ...] = ()) -> list[str]:
    """The candidates that suit a task, the most promising first, as many as have the time."""
    if names:
        return list(names)
    shortest = max(SHORTEST_SECONDS, _RUNS * look.gradient_seconds * look.horizon)
    return suiting(look)[: max(1, int(seconds / (2 * shortest)))]


def suiting(look: Any) -> list[str]:
    """The candidates that suit the task, the most promising first."""
    classes = registry.members("candidate")
    suits = {name: cls().suits(look) for name, cls in classes.items()}
    return sorted((name for name in suits if suits[name] > 0), key=lambda name: -suits[name])


@dataclasses.dataclass
class Halving:
    """The rounds of the search, which end early where it is stopped."""

    scene: Scene
    validation_task: TaskFamily
    key: PRNGKeyArray
    baselines: list[Contestant]
    progress: Progress
    stopped: Callable[[], bool]
    clock: Callable[[], float]
    report: Callable[[str], None]

    def run(self, names: list[str], seconds: float) -> list[Contestant]:
        """The candidates with their runs on the validation problems."""
        classes = registry.members("candidate")
        entrants = [_Entrant(name, classes[name]()) for name in names]
        rounds = max(1, math.ceil(math.log2(len(entrants))) + 1) if entrants else 0
        deadline, alive = self.clock() + seconds, entrants
        for number in range(rounds):
            last = number == rounds - 1
            for place, entrant in enumerate(alive):
                left = deadline - self.clock()
                share = left / (rounds - number) / (len(alive) - place)
                if last:
                    share = left / (len(alive) - place)
                if self.stopped() or left <= 0:
                    break
                self._advance(entrant, share, cool=last)
            alive = self._better_half(alive)
            if not alive:
                break
        return [each.best for each in entrants if each.best is not None]

    def _advance(self, entrant: _Entrant, seconds: float, *, cool: bool) -> None:
        if entrant.training is not None and not entrant.training.goes_on:
            return
        began = self.clock()
        clear_programs_near_limit()
        self.report(f"training {entrant.name} for {seconds:.0f} s")
        try:
            if entrant.training is None:
                entrant.training = Training(
                    entrant.candidate, self.scene, self.progress.former(entrant.name)
                )
                check_savable(entrant.training.rule)
            training = entrant.training
            spent = self.clock() - began
            # A part of the time is kept for the validation.
            training.advance(0.8 * seconds - spent, self.stopped, self.clock, cool=cool)
            losses = self._validate(training.rule)
        except (InnerloopError, ValueError, TypeError, jax.errors.JaxRuntimeError) as error:
            entrant.training = None
            self.progress.note(entrant.name, None, given_up=str(error).partition("\n")[0][:200])
            self.report(f"{entrant.name} is given up: {error}"[:200])
            return
        entrant.seconds += self.clock() - began
        found = Contestant(
            entrant.name, training.rule, losses, entrant.candidate.learns, seconds=entrant.seconds
        )
        if entrant.best is None or self._better(found, entrant.best):
            entrant.best = found
        entrant.best = dataclasses.replace(entrant.best, seconds=entrant.seconds)
        self.progress.note(
            entrant.name,
            entrant.best.rule,
            learns=entrant.candidate.learns,
            seconds=round(entrant.seconds, 1),
            meta_steps=training.steps,
            validation=final(entrant.best.losses),
        )

    def _validate(self, rule: Any) -> Curves:
        problems = self.baselines[0].losses.shape[1]
        marks = (self.scene.horizon,)
        curves = evaluate(rule, self.validation_task, key=self.key, problems=problems, marks=marks)
        return curves.losses

    def _better(self, one: Contestant, other: Contestant) -> bool:
        return rank([one, other], self.baselines)[0] is one

    def _better_half(self, alive: list[_Entrant]) -> list[_Entrant]:
        ranked = rank([each.best for each in alive if each.best is not None], self.baselines)
        names = [each.name for each in ranked[: math.ceil(len(alive) / 2)]]
        return [each for each in alive if each.name in names]


def rank(
    found: list[Contestant],
    baselines: list[Contestant],
    prices: Mapping[str, float] | None = None,
) -> list[Contestant]:
    """The best first: those that end as low as the best baseline, and then by standing.

    Where prices are known, the logarithm of the speed-up over the best first-order baseline, in
    steps and in seconds alike, counts as much as the standing.

    Args:
        found: What is ranked.
        baselines: The bar, at least one of first order.
        prices: Seconds of a step of each in `found`, by name; None to rank by steps alone.
    """
    if prices is not None:
        curves = {each.name: each.losses for each in found}
        bar = min((each.losses for each in baselines), key=final)
        first = best_first_order(baselines)
        standing = standings(curves, prices)
        lead = {
            each.name: log_speedup(
                each.losses, first.losses, prices[each.name] / prices[first.name]
            )
            for each in found
        }
        return sorted(
            found,
            key=lambda e: (not may_win(e.losses, bar), standing[e.name] - lead[e.name]),
        )
    curves = {f"{i}": each.losses for i, each in enumerate([*found, *baselines])}
    standing = standings(curves)
    bar = min((each.losses for each in baselines), key=final)
    order = sorted(
        range(len(found)), key=lambda i: (not may_win(found[i].losses, bar), standing[f"{i}"])
    )
    return [found[i] for i in order if np.isfinite(standing[f"{i}"])]
