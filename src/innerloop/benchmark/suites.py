"""The suites by name: their tasks, and how their runs are judged, drawn and told."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UnknownNameError
from ..plots.benchmark import plot_profiles, plot_speedups
from . import cutest, velodrome, zoo
from .measuring import Entry, Measured
from .profiling import profiled
from .report import profile_tables, speedup_tables, velodrome_tables
from .scores import scores

DataDir = str | Path | None


@dataclasses.dataclass(frozen=True)
class Suite:
    """A set of tasks, and how optimizers are judged on them."""

    name: str
    title: str
    """What its report is headed."""
    entries: Callable[[DataDir], tuple[Entry, ...]]
    judge: Callable[[Measured, DataDir], dict[str, Any]]
    """The tables of results.json."""
    tell: Callable[[dict[str, Any]], str]
    """The tables in Markdown."""
    draw: Callable[[dict[str, Any], Path], Path]
    """The picture of the tables."""
    horizons: tuple[int, ...] = (200, 2000)
    full: tuple[int, ...] = (200, 2000, 10_000)
    """The horizons of a long benchmark."""
    seeds: int = 3
    """The least and the default."""
    one_problem: bool = False
    """Whether a task is a single problem: it is tuned and judged on that, and L-BFGS takes part."""
    over_adam: bool = True
    """Whether speed-ups are over tuned Adam, which then takes part whatever the tables are."""


def _zoo(data_dir: DataDir) -> tuple[Entry, ...]:
    return tuple(zoo.entry(name, *what, data_dir) for name, what in zoo.TASKS.items())


def _velodrome(data_dir: DataDir) -> tuple[Entry, ...]:
    velodrome.load_envelopes(data_dir)  # Before hours are spent.
    return tuple(zoo.entry(name, *what, data_dir) for name, what in velodrome.TASKS.items())


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "zoo",
            "Small real tasks that no shipped rule has been trained on",
            _zoo,
            lambda measured, _: scores(measured),
            speedup_tables,
            plot_speedups,
        ),
        Suite(
            "cutest",
            "Unconstrained problems of CUTEst",
            lambda _: cutest.entries(),
            lambda measured, _: profiled(measured),
            profile_tables,
            plot_profiles,
            horizons=(2000,),
            full=(10_000,),
            seeds=1,
            one_problem=True,
            over_adam=False,
        ),
        Suite(
            "velodrome",
            "Two tasks of learned_optimization, against its published envelopes",
            _velodrome,
            lambda measured, data_dir: velodrome.against_envelopes(
                measured, velodrome.load_envelopes(data_dir)
            ),
            velodrome_tables,
            plot_speedups,
            horizons=(2000,),
            full=(2000, 10_000),
            over_adam=False,
        ),
    )
}


def suite_of(name: str) -> Suite:
    """The suite of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in SUITES:
        raise UnknownNameError(
            f"There is no suite '{name}'; there are {', '.join(SUITES)}.", arguments=("suite",)
        )
    return SUITES[name]
