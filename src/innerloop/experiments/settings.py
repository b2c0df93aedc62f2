"""What a run is asked, whole: one nested dataclass from the command line to the loop."""

import dataclasses
from typing import Any

from ..comparison import ComparisonSettings
from ..errors import InnerloopError
from ..metatrain import TrainingSettings
from ..runtime.settings import Seed, check, from_dict


@dataclasses.dataclass(frozen=True)
class Choice:
    """A registered class by its name, and the settings that it is made with.

    Args:
        name: A registered name, as in `@innerloop.register("quadratic")`; or file.py:NAME, for
            an object of a file that the user named on the command line.
        settings: Keyword arguments. Those left out have the class's own defaults.

    Example:
        >>> import innerloop
        >>> innerloop.Choice("quadratic", {"dimension": 3}).name
        'quadratic'
    """

    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """A run: which rule is trained on which task, how, and how it is compared.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import innerloop
        >>> settings = innerloop.RunSettings(
        ...     task=innerloop.Choice("quadratic", {"dimension": 3}),
        ...     loop=innerloop.TrainingSettings(steps=100),
        ... )
        >>> settings.rule.name
        'lstm'
    """

    task: Choice
    """The task family."""
    rule: Choice = Choice("lstm")
    """The rule that is trained."""
    rule_parts: tuple[str, ...] = ()
    """The top-level parts of the parameters that get a rule each; empty for one rule for all."""
    estimator: Choice = Choice("truncated-backprop")
    """How the meta-gradient is estimated."""
    loop: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    """The loop of meta-training."""
    comparison: ComparisonSettings = dataclasses.field(default_factory=ComparisonSettings)
    """How the rule is compared with baselines."""
    seed: Seed = 0
    """The same seed gives the same numbers on the same machine."""
    init_from: str | None = None
    """The trained rule to begin with: a shipped rule's name, a file, or a run's folder. None to
    begin with random weights."""

    def __post_init__(self):
        check(self)


def trained_on(run: Any) -> RunSettings | None:
    """The settings of the run that a saved rule's header describes, or None where it has none.

    Nothing is imported, whatever the header says: a task of a user's own file is a name.
    """
    try:
        known = {name: run[name] for name in RunSettings.__dataclass_fields__ if name in run}
        return from_dict(RunSettings, known) if "task" in known else None
    except (InnerloopError, TypeError, ValueError, KeyError):
        return None
