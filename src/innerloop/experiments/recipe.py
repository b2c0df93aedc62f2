"""The settings for a task that nobody has tuned them for."""

import dataclasses

from ..tasks import TaskFamily, coordinates
from .settings import Choice, RunSettings

_COORDINATES_AT_ONCE = 1 << 16  # Of all problems together: this many suit two CPU cores.
_MAX_PROBLEMS = 128


def suit(settings: RunSettings, task: TaskFamily) -> RunSettings:
    """`settings` with a meta-batch as large as the size of the task's problems allows.

    Small problems are many; of large ones a sample of each leaf's coordinates is
    backpropagated through.

    Args:
        settings: Those of a run with the default loop and estimator.
        task: The task.
    """
    size = coordinates(task)
    problems = _MAX_PROBLEMS
    while problems > 2 and problems * size > _COORDINATES_AT_ONCE:
        problems //= 2
    given = {"meta_batch_size": problems}
    if size > 2000:
        given["coordinates"] = 1500
    loop = dataclasses.replace(settings.loop, steps=2000, validation_problems=max(32, problems))
    return dataclasses.replace(settings, loop=loop, estimator=Choice("truncated-backprop", given))
