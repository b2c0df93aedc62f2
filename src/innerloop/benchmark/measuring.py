"""Running everything that a benchmark compares."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .. import keys
from ..comparison import Price, prices
from ..runtime.interrupts import Interrupt, Interrupted
from ..tasks import TaskFamily
from .cells import Cells
from .entrants import Entrant, SecondOrder
from .settings import BenchmarkSettings, Table


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task of a suite."""

    name: str
    identity: str
    """What the results that are kept are of: the task's class and settings."""
    make: Callable[[], TaskFamily]
    """Makes the task; called when its turn comes, since data takes memory."""


@runtime_checkable
class Bar(Protocol):
    """A bar of progress, such as tqdm's."""

    def update(self, n: int) -> Any: ...
    def set_description(self, desc: str) -> Any: ...


Place = tuple[str, int, Table, str]
"""(task, horizon, table, entrant)."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured."""

    tasks: tuple[str, ...]
    settings: BenchmarkSettings
    entrants: tuple[Entrant, ...]
    losses: dict[Place, Float[np.ndarray, "steps seeds"]]
    """The losses at steps 0 … horizon."""
    scalars: dict[Place, float | None]
    """The scalar that was found; None where nothing was tuned."""
    prices: dict[tuple[str, str], Price]
    """What a step costs, by task and entrant."""
    parameters: dict[str, int]
    """How many parameters each task has."""

    def names(self, table: Table) -> list[str]:
        """The entrants of a table."""
        return [each.name for each in self.entrants if each.table == table]


def measure(
    entries: tuple[Entry, ...],
    entrants: list[Entrant],
    settings: BenchmarkSettings,
    folder: Path,
    *,
    bar: Bar | None = None,
    tune_on_test: bool = False,
) -> Measured:
    """Run every entrant on every task, horizon and seed; what the folder has is not run again.

    Args:
        entries: The tasks.
        entrants: The optimizers.
        settings: The sizes.
        folder: Where results are kept, one file each.
        bar: Moves by one for each run, tuning and timing; see `count`.
        tune_on_test: Tune each scalar on the very problems that are judged: for suites of problems
            that have no others of their kind.

    Raises:
        Interrupted: A signal asked for the end; what is done is kept.
        InnerloopError: A task cannot be made, or nothing can be written.
    """
    cells = Cells(folder)
    found = Measured(tuple(e.name for e in entries), settings, tuple(entrants), {}, {}, {}, {})
    with Interrupt() as interrupt:
        for entry in entries:
            work = _Work(entry, cells, settings, tune_on_test)
            for horizon in settings.horizons:
                for entrant in entrants:
                    place = (entry.name, horizon, entrant.table, entrant.name)
                    if bar is not None:
                        bar.set_description(f"{entry.name}, {horizon} steps, {entrant.name}")
                    found.scalars[place] = work.scalar(entrant, horizon)
                    runs = []
                    for seed in range(settings.seeds):
                        if interrupt.asked:
                            raise Interrupted("Stopped; the same command goes on from here.")
                        runs.append(work.curve(entrant, horizon, seed, found.scalars[place]))
                        if bar is not None:
                            bar.update(1)
                    found.losses[place] = np.stack(runs, axis=1)
            timed = work.record([each for each in entrants if not isinstance(each, SecondOrder)])
            found.parameters[entry.name] = timed["parameters"]
            for name, (seconds, size) in timed["prices"].items():
                found.prices[entry.name, name] = Price(seconds, size)
    return found


def count(entries: tuple[Entry, ...], entrants: list[Entrant], settings: BenchmarkSettings) -> int:
    """How often `measure` moves the bar."""
    return len(entries) * len(settings.horizons) * len(entrants) * settings.seeds


class _Work:
    """The runs on one task. The task is made when the first of them is not in the folder."""

    def __init__(self, entry: Entry, cells: Cells, settings: BenchmarkSettings, tune_on_test: bool):
        self.entry, self.cells, self.settings = entry, cells, settings
        self.tune_on_test = tune_on_test
        self._task: TaskFamily | None = None

    @property
    def task(self) -> TaskFamily:
        if self._task is None:
            self._task = self.entry.make()
        return self._task

    def scalar(self, entrant: Entrant, horizon: int) -> float | None:
        """The scalar of one entrant, tuned on problems that no run is judged on."""
        if entrant.grid is None:
            return None
        problems = 1 if self.tune_on_test else self.settings.validation_problems
        what = self._what(
            entrant, horizon, problems=problems, grid=dataclasses.asdict(entrant.grid)
        )
        first = jax.random.key(self.settings.seed)

        def tune() -> float | None:
            if self.tune_on_test:
                task, key = self.task.split("test"), keys.test_problems(first)
            else:
                task, key = self.task.split("validation"), keys.validation_problems(first)
            return entrant.tune(task, key=key, problems=problems, horizon=horizon)

        return self.cells.record(what, tune)

    def curve(
        self, entrant: Entrant, horizon: int, number: int, scalar: float | None
    ) -> Float[np.ndarray, " steps"]:
        """The losses of one run."""
        seed = self.settings.seed + number
        what = self._what(entrant, horizon, seed=seed, scalar=scalar)
        return self.cells.curve(
            what,
            lambda: entrant.run(
                self.task.split("test"), scalar, key=_test_key(seed), horizon=horizon
            ),
        )

    def record(self, entrants: list[Entrant]) -> dict[str, Any]:
        """The price of a step of each entrant, and the task's size."""
        rules = {each.name: each for each in reversed(entrants)}
        what = {
            "what": "prices",
            "task": self.entry.name,
            "identity": self.entry.identity,
            "entrant": "prices",
            "entrants": sorted(each.identity for each in rules.values()),
        }

        def time() -> dict[str, Any]:
            from ..tasks import coordinates

            task = self.task.split("test")
            made = {
                name: each.make(None if each.grid is None else 1e-3, self.settings.horizons[0])
                for name, each in rules.items()
            }
            paid = prices(made, task, key=_test_key(self.settings.seed))
            rows = {
                name: [each.seconds_per_step, each.state_bytes_per_parameter]
                for name, each in paid.items()
            }
            return {"prices": rows, "parameters": coordinates(task)}

        return self.cells.record(what, time)

    def _what(self, entrant: Entrant, horizon: int, **more: Any) -> dict[str, Any]:
        return {
            "task": self.entry.name,
            "identity": self.entry.identity,
            "horizon": horizon,
            "entrant": entrant.name,
            "table": entrant.table,
            "rule": entrant.identity,
            "first_seed": self.settings.seed,
            "tune_on_test": self.tune_on_test,
            **more,
        }


def _test_key(seed: int) -> PRNGKeyArray:
    return keys.test_problems(jax.random.key(seed))
