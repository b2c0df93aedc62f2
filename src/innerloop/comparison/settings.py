"""How a rule is compared with baselines."""

import dataclasses
from typing import Annotated

from ..runtime.settings import Count, Range, check
from .baselines import choose
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
    """Other problems, that the baselines are tuned on."""
    grid: Grid = dataclasses.field(default_factory=Grid)
    """The learning rates tried first."""
    baselines: tuple[str, ...] = ("modern",)
    """Names and groups of baselines: classic (SGD, Nesterov, RMSprop, Adam and AdamW, of which the
    learning rate alone is tuned), modern (these and today's, of which a second setting is tuned
    too), untuned (what needs no tuning), or any of their members by name."""
    test_top_k: Count | None = None
    """How many baselines, the best on validation problems, run on the test problems; None for
    all."""
    reference: bool = True
    """Show L-BFGS too, where the loss has no noise."""

    def __post_init__(self):
        check(self)
        choose(self.baselines)
