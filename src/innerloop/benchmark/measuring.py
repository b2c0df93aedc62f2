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
from ..errors import InnerloopError
from ..runtime.compilation import clear_programs_near_limit
from ..runtime.interrupts import Interrupt, Interrupted
from ..tasks import TaskFamily, coordinates
from ..tasks.check import check_task
from .cells import Cells
from .entrants import Entrant
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
    """What a step costs, by task and entrant; nothing for single problems."""
    parameters: dict[str, int]
    """How many parameters each task has."""
    left_out: dict[str, str]
    """The problems on which nothing ran, and why."""

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
    single: bool = False,
) -> Measured:
    """Run every entrant on every task, horizon and seed; what the folder has is not run again.

    Args:
        entries: The tasks.
        entrants: The optimizers.
        settings: The sizes.
        folder: Where results are kept, one file each.
        bar: Moves by one for each run, tuning and timing; see `count`.
        single: Whether each task is a single problem. A scalar is tuned on the very problem that
            is judged, as there is no other; a problem that cannot be begun is left out.

    Raises:
        Interrupted: A signal asked for the end; what is done is kept.
        InnerloopError: A task cannot be made, or nothing can be written.
    """
    cells = Cells(folder)
    names, left_out = [], {}
    found = Measured((), settings, tuple(entrants), {}, {}, {}, {}, left_out)
    with Interrupt() as interrupt:
        for entry in entries:
            work = _Work(entry, cells, settings, single)
            fault = work.fault()
            if fault is not None:
                left_out[entry.name] = fault
                continue
            names.append(entry.name)
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
            timed = work.record([] if single else entrants)  # Profiles count gradients.
            found.parameters[entry.name] = timed["parameters"]
            for name, (seconds, size) in timed["prices"].items():
                found.prices[entry.name, name] = Price(seconds, size)
            clear_programs_near_limit()
    return dataclasses.replace(found, tasks=tuple(names))


def count(entries: tuple[Entry, ...], entrants: list[Entrant], settings: BenchmarkSettings) -> int:
    """How often `measure` moves the bar."""
    return len(entries) * len(settings.horizons) * len(entrants) * settings.seeds


class _Work:
    """The runs on one task. The task is made when the first of them is not in the folder."""

    def __init__(self, entry: Entry, cells: Cells, settings: BenchmarkSettings, single: bool):
        self.entry, self.cells, self.settings = entry, cells, settings
        self.single = single
        self._task: TaskFamily | None = None

    @property
    def task(self) -> TaskFamily:
        if self._task is None:
            self._task = self.entry.make()
        return self._task

    def fault(self) -> str | None:
        """What is wrong with a single problem; None for one that can be begun."""
        what = {"task": self.entry.name, "identity": self.entry.identity, "entrant": "check"}

        def look() -> str | None:
            try:
                check_task(self.task, name=self.entry.name)
            except InnerloopError as error:
                if not self.single:
                    raise
                return str(error)
            return None

        return self.cells.record(what, look)

    def scalar(self, entrant: Entrant, horizon: int) -> float | None:
        """The scalar of one entrant, tuned on problems that no run is judged on."""
        if entrant.grid is None:
            return None
        problems = 1 if self.single else self.settings.validation_problems
        what = self._what(
            entrant, horizon, problems=problems, grid=dataclasses.asdict(entrant.grid)
        )
        first = jax.random.key(self.settings.seed)

        def tune() -> float | None:
            if self.single:
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
            "single": self.single,
            **more,
        }


def _test_key(seed: int) -> PRNGKeyArray:
    return keys.test_problems(jax.random.key(seed))
