"""What a safeguard remembers of a run's progress: numbers alone, of JAX or of NumPy."""

from typing import Any, NamedTuple

WINDOWS = (5, 40)
"""Steps between two looks at a rule in charge: the first, doubled each time up to the second."""
WAIT = 10
"""Steps before the second trial; ten times as many after each trial that failed."""


class Watch(NamedTuple):
    """What was seen, and who is in charge. Scalars are floats or int32, unless said."""

    learned: Any
    """Whether the last step was the learned rule's."""
    proven: Any
    """Whether it is in charge, and not on trial."""
    age: Any
    steps: Any
    """Since the trial or the window began."""
    since: Any
    """Since the one took over from the other."""
    length: Any
    """Of the window."""
    wait: Any
    """Steps of the fallback until the learned rule may be tried."""
    patience: Any
    """What `wait` will be next."""
    debt: Any
    """Steps that the fallback has to catch up with."""
    last: Any
    """The loss before the last step."""
    base: Any
    """The loss where `kept` was kept."""
    alive: Any
    """How many coordinates had a gradient other than 0 there."""
    origin: Any
    """The loss where the learned rule took over."""
    before: Any
    """The mean loss of the window before."""
    total: Any
    """The sum of the losses in the window."""
    bound: Any
    """Σ −∇·u of the fallback's steps u that were not made, in the window."""
    stay: Any
    """The same since the learned rule took over."""
    promised: Any
    """The largest |∇·u| of the fallback, fading."""
    progress: Any
    """The fallback's descent a step, averaged over the last eight."""
    noise: Any
    """The variance of a loss about that."""
    measured: Any
    """How many steps have gone into the average."""
    pace: Any
    """The learned rule's descent a step when it was relieved; 0 when the comparison is over."""


def first_watch(zero: Any, none: Any, no: Any) -> Watch:
    """Before the first step, in which the fallback is in charge.

    Args:
        zero: 0 as a float of the library that is to compute.
        none: 0 as a whole number of it.
        no: False of it.
    """
    return Watch(
        learned=no,
        proven=no,
        age=none,
        steps=none,
        since=none,
        length=none + WINDOWS[0],
        wait=none,
        patience=none + WAIT,
        debt=none,
        last=zero,
        base=zero,
        alive=zero,
        origin=zero,
        before=zero,
        total=zero,
        bound=zero,
        stay=zero,
        promised=zero,
        progress=zero,
        noise=zero,
        measured=none,
        pace=zero,
    )
