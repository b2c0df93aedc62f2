"""The search for the best optimizer of a task: look, tune, train, test."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from .. import keys
from ..rules import Rule
from ..rules.files import FILE, save
from ..runtime.folders import only_one, writable
from ..runtime.interrupts import Interrupt
from ..tasks import TaskFamily
from ._base import Scene
from .baselines import Contestant, tune_baselines, validation_problems
from .finalists import last_round
from .halving import Halving, choose, rank, suiting
from .look import Look, look
from .progress import Progress, open_progress
from .settings import SearchSettings
from .verdict import Verdict, test

_BASELINES_SHARE = 0.25
_TEST_SHARE = 0.15


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    rule: Rule
    """The best optimizer: learned, or the best tuned one of today."""
    name: str
    """The candidate or baseline that it is."""
    learns: str
    """ "rule", "initialisation and rule", or "nothing"."""
    look: Look
    """What was seen of the task."""
    validation: list[Contestant]
    """All that was tried, the best first, with runs on the validation problems."""
    verdict: Verdict
    """What the test problems say."""
    candidates: dict[str, dict[str, Any]]
    """What was spent on each candidate, and what it gave."""
    seconds: float
    """Of the whole search."""
    settings: SearchSettings
    """What was asked."""
    stopped: bool = False
    """Whether it was interrupted."""

    @property
    def untrained(self) -> int:
        """How many candidates there were, where no time came to train any; otherwise 0."""
        if self.candidates:
            return 0
        return len(self.settings.candidates or suiting(self.look))


def find_optimizer(
    task: TaskFamily,
    settings: SearchSettings | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    description: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[str], None] = lambda message: None,
    show: Callable[[SearchResult], None] = lambda result: None,
) -> SearchResult:
    """Find the best optimizer for a task within some minutes, learned or not.

    Baselines are tuned, and candidates trained by successive halving, on training and validation
    problems. Test problems are drawn when all is decided. Ctrl-C ends the training; what is best
    so far is tested and kept.

    Args:
        task: The family of problems.
        settings: The budget; `SearchSettings()` where it is None.
        out: A folder for rule.safetensors, results.json, report.md and what was tried; None to
            write nothing.
        resume: Go on with the search in `out`. What it has spent counts.
        description: More for the header of rule.safetensors, such as the command.
        clock: What the budget is counted by, in seconds.
        report: Called with a line of progress.
        show: Called with the result, before an interrupted search ends with `Interrupted`.

    Returns:
        The best optimizer, and what was found on the way.

    Raises:
        InnerloopError: The task is not valid or cannot be optimised, the folder holds another
            search, or no baseline ends with a finite loss.
        Interrupted: After Ctrl-C, when all is written.

    Example:
        >>> import innerloop
        >>> settings = innerloop.SearchSettings(minutes=3.0, horizon=50)
        >>> found = innerloop.find_optimizer(
        ...     innerloop.Quadratic(2), settings, out="runs/mine"
        ... )  # doctest: +SKIP
        >>> optimizer = found.rule.as_optax()  # doctest: +SKIP
    """
    from .report import write_report

    settings = settings or SearchSettings()
    folder = None if out is None else writable(out)
    with Interrupt() as interrupt:

        def run(progress: Progress) -> SearchResult:
            asked = _Asked(settings, lambda: interrupt.asked, clock, report)
            return _search(task, asked, progress)

        if folder is None:
            result = run(Progress(None))
        else:
            with only_one(folder):
                progress = open_progress(folder, resume=resume)
                result = run(progress)
                told = {
                    **(description or {}),
                    "candidate": result.name,
                    "learns": result.learns,
                    "horizon": result.look.horizon,
                }
                save(result.rule, folder / FILE, run={"search": told})
                write_report(result, folder)
        show(result)
    return result


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What a search is asked, and how it is stopped, timed and heard of."""

    settings: SearchSettings
    stopped: Callable[[], bool]
    clock: Callable[[], float]
    report: Callable[[str], None]


def _search(task: TaskFamily, asked: _Asked, progress: Progress) -> SearchResult:
    settings, stopped, clock, report = asked.settings, asked.stopped, asked.clock, asked.report
    budget = 60.0 * settings.minutes
    # What is left, of a search that goes on; the test comes in any case.
    began = clock() - min(progress.seconds, budget)
    look_key, train_key, validation_key, test_key = _keys(settings.seed)
    train_task, validation_task = task.split("train"), task.split("validation")
    report("looking at the task")
    seen = look(train_task, seconds=budget, key=look_key, horizon=settings.horizon, clock=clock)
    for sentence in seen.sentences():
        report(sentence)
    problems = validation_problems(seen, budget)
    baselines = tune_baselines(
        validation_task,
        seen,
        key=validation_key,
        problems=problems,
        late=lambda more: clock() + more > began + _BASELINES_SHARE * budget,
        stopped=stopped,
        report=report,
    )
    rates = {each.name: each.rate for each in baselines if each.rate is not None}
    rules = {each.name: each.rule for each in baselines}
    scene = Scene(train_task, seen, rates, train_key, rules)
    halving = Halving(
        scene, validation_task, validation_key, baselines, progress, stopped, clock, report
    )
    seconds = began + (1 - _TEST_SHARE) * budget - clock()
    found = halving.run(choose(seen, max(seconds, 0.0), settings.candidates), seconds)
    ranked = rank([*found, *baselines], baselines)
    if stopped():
        report("finishing with what there is")
    else:
        report("more validation problems for the few at the top")
    ranked = last_round(
        ranked,
        validation_task,
        seen,
        key=keys.next_problem(validation_key),
        budget=budget,
        left=lambda: 0.0 if stopped() else began + budget - clock(),
    )
    report(f"testing {ranked[0].name}")
    verdict = test(
        ranked[0],
        baselines,
        task.split("test"),
        seen,
        key=test_key,
        most=min(16, settings.problems) if stopped() else settings.problems,
        seconds=0.0 if stopped() else began + budget - clock(),
        clock=clock,
    )
    progress.seconds = clock() - began
    progress.write(progress.seconds)
    best = ranked[0]
    return SearchResult(
        rule=best.rule,
        name=best.name,
        learns=best.learns,
        look=seen,
        validation=ranked,
        verdict=verdict,
        candidates=progress.entries,
        seconds=progress.seconds,
        settings=settings,
        stopped=stopped(),
    )


def _keys(seed: int) -> list[Any]:
    """Keys for looking, training, validation and testing, which share no problem."""
    key = jax.random.key(seed)
    look_key, train_key = jax.random.split(key)
    return [look_key, train_key, keys.validation_problems(key), keys.test_problems(key)]
