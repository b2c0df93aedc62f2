"""What an experiment is: a task, a rule, and how to train and compare it."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import PRNGKeyArray

from ..comparison import Grid
from ..metatrain import TrainingSettings
from ..rules import LSTMRule, Rule
from ..rules.files import load, shipped_file
from ..tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """How a rule is compared on a task, unless the user says otherwise."""

    problems: int = 1000
    """Test problems."""
    horizon: int = 100
    """Steps at which the optimizers are judged."""
    beyond: int = 2
    """How many times the horizon they are run for."""
    validation_problems: int = 256
    """Problems that the baselines' learning rates are tuned on."""
    grid: Grid = dataclasses.field(default_factory=Grid)
    """The learning rates tried first."""
    reference: bool = False
    """Show L-BFGS too: for losses without minibatches."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A named experiment. `make_task` takes the task's settings, by keyword."""

    name: str
    summary: str
    make_task: Callable[..., Task]
    make_rule: Callable[..., Rule] = LSTMRule
    """Makes the rule that is trained from `key` and settings, all by keyword."""
    rule: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The settings of `make_rule` that differ from its defaults."""
    begin: str | None = None
    """The shipped rule that training goes on from; None to begin afresh."""
    training: TrainingSettings | None = None
    """How the rule is trained; None for what suits the task's size."""
    comparison: ComparisonSettings = dataclasses.field(default_factory=ComparisonSettings)
    source: str | None = None
    """Where a user's own task is: path/to/file.py:NAME."""

    def new_rule(self, *, key: PRNGKeyArray, **settings: Any) -> Rule:
        """The rule that is trained, with `settings` over the experiment's own."""
        if self.begin is not None and not settings:
            return load(shipped_file(self.begin))
        return self.make_rule(key=key, **{**self.rule, **settings})
