"""What an experiment is: a name for the settings of a run."""

from typing import ClassVar

from .settings import RunSettings


class Experiment:
    """A named run, registered in its own file.

    A subclass sets `settings`. The first line of its docstring is what `innerloop list` shows.

    Example:
        >>> import innerloop
        >>> from innerloop.experiments import Choice, Experiment, RunSettings
        >>> @innerloop.register("small-quadratic")
        ... class SmallQuadratic(Experiment):
        ...     '''Random quadratics in three dimensions.'''
        ...     settings = RunSettings(task=Choice("quadratic", {"dimension": 3}))
    """

    registry_kind: ClassVar[str] = "experiment"
    settings: ClassVar[RunSettings]

    @classmethod
    def summary(cls) -> str:
        """One line on what the experiment is."""
        return (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")
