"""What a search is asked."""

import dataclasses

from .. import registry
from ..runtime.settings import Count, Positive, Seed, check


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The budget of a search.

    Raises:
        SettingsError: A setting has another type, or is out of its range.

    Example:
        >>> import innerloop
        >>> innerloop.SearchSettings(minutes=3.0).horizon is None
        True
    """

    minutes: Positive = 10.0
    """Minutes for everything: the baselines, the candidates, and the test."""
    horizon: Count | None = None
    """Steps after which optimizers are judged; None for what the search proposes."""
    problems: Count = 8192
    """Test problems, at most: fewer where the budget allows no more."""
    candidates: tuple[str, ...] = ()
    """Only these candidates, by name; empty for all that suit the task."""
    seed: Seed = 0
    """Draws all problems and weights."""

    def __post_init__(self):
        check(self)
        for name in self.candidates:
            registry.find("candidate", name)
