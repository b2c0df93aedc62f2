"""The recipe for a task that nobody has tuned one for."""

from ..metatrain import TrainingSettings
from ..tasks import TaskFamily, coordinates

_AT_ONCE = 1 << 16  # Coordinates of all problems together that suit two CPU cores.
_MOST_PROBLEMS = 128


def suited_to(task: TaskFamily) -> TrainingSettings:
    """The default settings, with as many problems at once as their size allows.

    Small problems are many; of large ones a sample of each leaf's coordinates is walked
    back through.
    """
    size = coordinates(task)
    problems = _MOST_PROBLEMS
    while problems > 2 and problems * size > _AT_ONCE:
        problems //= 2
    return TrainingSettings(
        steps=2000,
        problems=problems,
        coordinates=1500 if size > 2000 else None,
        validation_problems=max(32, problems),
    )
