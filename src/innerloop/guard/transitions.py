"""What follows from a safeguard's judgement: whose step it is, and what is remembered.

All is scalars. `xp` is the library that they are of: `jax.numpy`, or `numpy` for PyTorch.
"""

from typing import Any, NamedTuple

from .judgement import FACTOR, Sight, Verdict
from .watch import WINDOWS, Watch

WARM = 8
"""Steps for which the rule is shown gradients, and does not step, before it may be tried."""
CATCH_UP = (16, 4)
"""From which step on the fallback makes up for steps it missed, and one step in how many."""
LAST = 0.8
"""The part of a run, where its length is known, after which no trial begins."""


class Turn(NamedTuple):
    """Who makes this step."""

    back: Any
    """It leads back to what was kept."""
    takes: Any
    """The learned rule makes it."""
    enters: Any
    """The learned rule takes over from the fallback."""
    resumes: Any
    """It does so without another trial."""
    leaves: Any
    """It makes way for the fallback."""
    compared: Any
    """The fallback was measured for long enough after it relieved the learned rule."""


def may_step(s: Watch, verdict: Verdict) -> Any:
    """Whether the learned rule has to be asked for its step."""
    soon = (s.wait <= WARM) | ((s.pace > 0) & (s.measured + WARM >= s.length))
    return verdict.stays | (~s.learned & soon)


def take_turns(
    s: Watch,
    seen: Sight,
    verdict: Verdict,
    xp: Any,
    *,
    sane: Any,
    slope: Any,
    steps: int | None,
) -> Turn:
    """Decide who steps.

    Args:
        s: What was seen before.
        seen: What is seen of this step.
        verdict: What was made of it.
        xp: The library.
        sane: Whether the learned rule's step may be made: it is finite, and short enough.
        slope: The descent that it promises, −∇·u.
        steps: The run's length, None if it is unknown.
    """
    compared = (s.pace > 0) & (seen.measured >= s.length)
    sane = seen.good & sane
    resumes = ~s.learned & sane & compared & (s.pace > FACTOR * seen.progress)
    begins = ~s.learned & ~resumes & sane & (s.wait <= 0)
    begins = begins & (slope > xp.maximum(seen.progress, seen.promised))
    if steps is not None:
        begins = begins & (s.age < LAST * steps)
    back = verdict.back | (verdict.stays & ~sane)
    return Turn(
        back=back,
        takes=(verdict.stays & sane) | begins | resumes,
        enters=begins | resumes,
        resumes=resumes,
        leaves=back | verdict.relieved,
        compared=compared,
    )


def is_behind(s: Watch, seen: Sight, turn: Turn) -> Any:
    """Whether the fallback makes two steps with one gradient, to catch up.

    Not at the start: the first gradients are the largest, and an average such as Adam's would long
    remember that it saw one of them twice.
    """
    late, every = CATCH_UP
    twice = ~s.learned & ~turn.enters & (s.debt > 0) & (s.since % every == 0) & (s.age >= late)
    return twice & seen.good


def is_short(step: Any, plain_step: Any, params: Any) -> Any:
    """Whether a step, by its square norm and two others, can be taken back without loss of digits.

    Args:
        step: The square norm of the learned rule's step.
        plain_step: That of the fallback's.
        params: That of the parameters.
    """
    return step <= 1e6 * plain_step + params


class Then(NamedTuple):
    """What becomes of the two optimizers and of the point to go back to."""

    keeps: Any
    """The fallback's next point is one to go back to."""
    fresh: Any
    """The learned rule begins anew."""


def outcome(s: Watch, verdict: Verdict, turn: Turn) -> Then:
    """What follows for the states."""
    # A learned rule that was turned away begins anew when it is tried again.
    return Then(
        keeps=turn.enters | (verdict.fine & verdict.proved), fresh=turn.leaves | _refused(s)
    )


def _refused(s: Watch) -> Any:
    return ~s.learned & (s.wait <= -WARM)


def next_watch(
    s: Watch, seen: Sight, verdict: Verdict, turn: Turn, xp: Any, *, twice: Any
) -> Watch:
    """What is remembered after this step.

    Args:
        s: What was seen before.
        seen: What is seen of this step.
        verdict: What was made of it.
        turn: Who steps.
        xp: The library.
        twice: Whether the fallback makes two steps with one gradient.
    """
    back, takes, enters = turn.back, turn.takes, turn.enters
    won, fine, relieved = verdict.won, verdict.fine, verdict.relieved
    keeps, fresh = outcome(s, verdict, turn)
    restarts = turn.leaves | enters | won | fine
    kept_pace = xp.where(back | enters | (~s.learned & turn.compared), 0.0, s.pace)
    promise = xp.where(takes, seen.plain_slope, 0.0)
    return Watch(
        learned=takes,
        proven=takes & (verdict.ruling | won | turn.resumes),
        age=s.age + 1,
        steps=xp.where(restarts, 0, seen.now),
        since=xp.where(turn.leaves | enters | won, 1, s.since + 1),
        length=_window(s, won, fine, xp),
        wait=xp.where(fresh, s.patience, s.wait - ~s.learned),
        patience=_patience(s, back | _refused(s), relieved, xp),
        # A step in charge counts twice: it may have gone wrong where the loss hardly shows it.
        debt=s.debt + (xp.where(takes, 1 + verdict.ruling, 0) - twice),
        last=xp.where(back, s.base, seen.loss),
        base=xp.where(keeps, seen.loss, s.base),
        alive=xp.where(keeps, seen.alive, s.alive),
        origin=xp.where(enters, seen.loss, s.origin),
        before=xp.where(won | turn.resumes, seen.loss, xp.where(fine, verdict.mean, s.before)),
        total=xp.where(restarts | ~verdict.ruling, 0.0, verdict.total),
        bound=xp.where(restarts, 0.0, s.bound) + promise,
        stay=xp.where(enters, 0.0, s.stay) + promise,
        promised=xp.where(seen.good, seen.promised, s.promised),
        progress=xp.where(relieved, 0.0, seen.progress),
        noise=seen.noise,
        measured=xp.where(relieved, 0, seen.measured),
        pace=xp.where(relieved, verdict.pace, kept_pace),
    )


def _window(s: Watch, won: Any, fine: Any, xp: Any) -> Any:
    longer = xp.minimum(2 * s.length, WINDOWS[1])
    return xp.where(won, WINDOWS[0], xp.where(fine, longer, s.length))


def _patience(s: Watch, failed: Any, relieved: Any, xp: Any) -> Any:
    factor = xp.where(failed, 10, xp.where(relieved, 2, 1))
    return xp.minimum(s.patience, 10**7) * factor
