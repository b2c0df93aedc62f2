"""How a rule is compared with baselines."""

import dataclasses
from typing import Annotated

from ..errors import UnknownNameError
from ..runtime.settings import Count, Range, check
from .baselines import BASELINES
from .tuning import Grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """The sizes of a comparison, and the baselines that are in it.

    Raises:
        SettingsError: A setting has another type, or is out of its range.
        UnknownNameError: There is no baseline of a name.

    Example:
        >>> import innerloop
        >>> innerloop.ComparisonSettings(problems=100, baselines=("sgd", "adam")).horizon
        100
    """

    problems: Annotated[int, Range(at_least=2)] = 1000
    """Unseen problems that every optimizer is tested on."""
    horizon: Count = 100
    """The step at which the optimizers are judged, and for which the baselines are tuned."""
    horizon_multiple: Count = 2
    """How many times the horizon the optimizers run for."""
    validation_problems: Count = 256
    """Other problems, that the baselines' learning rates are tuned on."""
    grid: Grid = dataclasses.field(default_factory=Grid)
    """The learning rates tried first."""
    baselines: tuple[str, ...] = ()
    """Only these of sgd, nesterov, rmsprop, adam and adamw; empty for all."""
    test_top_k: Count | None = None
    """How many baselines, the best on validation problems, run on the test problems; None for
    all."""
    reference: bool = False
    """Show L-BFGS too: for losses without minibatches."""

    def __post_init__(self):
        check(self)
        for name in self.baselines:
            if name not in BASELINES:
                raise UnknownNameError(
                    f"There is no baseline '{name}'; there are {', '.join(BASELINES)}.",
                    arguments=("baselines",),
                )
