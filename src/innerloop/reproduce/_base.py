"""What a reproduction is: something that a paper shows, made again by one command."""

import abc
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from ..runtime.settings import Range, Seed, check


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproductionOptions:
    """How a reproduction is run.

    Raises:
        SettingsError: A setting has another type, or is out of its range.
    """

    out: Path
    """The folder to write into."""
    shipped: bool = False
    """Use the shipped weights; without it they are trained first."""
    seed: Seed = 0
    """Another seed, other problems."""
    problems: Annotated[int, Range(at_least=2)] | None = None
    """Unseen problems (or episodes) to test on; None for as many as the paper has, or nearly."""
    data_dir: str | None = None
    """The folder that holds the data."""
    report: Callable[[str], None] = lambda message: None
    """Called with a line of progress."""

    def __post_init__(self):
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reproduction(abc.ABC):
    """Something that a paper shows. A module of this package has them in `REPRODUCTIONS`."""

    name: str
    source: str
    """The paper, and where in it."""
    claim: str
    """What the paper says."""
    minutes: int
    """With shipped weights, on two cores of a server of 2025."""
    training_minutes: int
    """How much longer it takes to train them first."""

    @abc.abstractmethod
    def run(self, options: ReproductionOptions) -> dict[str, Any]:
        """Write results.json, report.md and pictures into `options.out`.

        Returns:
            What results.json holds, with its `seconds`.
        """
