"""The sizes of a benchmark."""

import dataclasses
from typing import Literal

from ..comparison import choose
from ..runtime.settings import Count, Seed, check

Table = Literal["untouched", "tuned"]
"""Optimizers as they are, or with one scalar tuned on each task; the two are never mixed."""
REFERENCE = "adam"
"""The tuned baseline that every speed-up is over."""
TUNED = (REFERENCE, "adamw-cosine", "nesterov-cosine", "muon-cosine", "schedule-free-adamw")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """The sizes of a benchmark.

    Raises:
        SettingsError: A setting has another type, or is out of its range.
        UnknownNameError: There is no baseline of a name.
    """

    horizons: tuple[Count, ...] = (200, 2000)
    """The steps at which optimizers are judged; each has runs and tuning of its own."""
    seeds: Count = 3
    """Problems of each task that every optimizer runs on. Three are the least for tasks with
    noise; one is all there is of a problem of CUTEst."""
    seed: Seed = 0
    """The first of the seeds."""
    tables: tuple[Table, ...] = ("untouched", "tuned")
    """untouched: rules as they are, and baselines that need no tuning. tuned: the rate of each
    baseline, or a factor of each rule's steps, is tuned on every task and horizon."""
    untuned_baselines: tuple[str, ...] = ("untuned",)
    """Names and groups of baselines that need no tuning."""
    tuned_baselines: tuple[str, ...] = TUNED
    """Names and groups of baselines whose learning rate is tuned."""
    validation_problems: Count = 2
    """Other problems, that the scalar is tuned on."""

    def __post_init__(self):
        check(self)
        choose(self.untuned_baselines)
        choose(self.tuned_baselines)
