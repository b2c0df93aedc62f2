"""What a safeguard sees of a step, and what it makes of it: who stays, and who has to go.

All is scalars. `xp` is the library that they are of: `jax.numpy`, or `numpy` for PyTorch.
"""

from typing import Any, NamedTuple

from .watch import Watch

TRIAL = 5
"""Steps that a learned rule has to be ahead for before it is in charge: at most four times that."""
FACTOR = 3.0
"""How many times the fallback's descent a learned rule has to make."""
LEASE = 0.1
"""The same in a window, while the whole stay is still that far ahead: less is a standstill."""
SLACK = 0.05
"""The part of its gains that a rule so far ahead may lose again before it is taken back."""
TRUST = 20
"""A stay shorter than this is undone as if it had not been, unless it is that far ahead."""
ALIVE = 0.5
"""The part of the coordinates with a gradient that a stay may end with."""
FADE = 0.99
"""The decay of the largest descent that the fallback promised."""


class Sight(NamedTuple):
    """What is seen at one step, before anyone has moved."""

    loss: Any
    good: Any
    """Whether the loss and all gradients are finite."""
    plain_slope: Any
    """The descent that the fallback's step u promises, −∇·u."""
    promised: Any
    """The largest such descent, fading."""
    now: Any
    """Steps since the trial or the window began, this one counted."""
    progress: Any
    noise: Any
    measured: Any
    margin: Any
    """What the loss may be off by chance."""
    alive: Any
    """How many coordinates have a gradient other than 0."""


class Verdict(NamedTuple):
    """What becomes of the learned rule."""

    ruling: Any
    """It was in charge."""
    won: Any
    """Its trial ends well."""
    back: Any
    """What it did is undone."""
    relieved: Any
    """It stands still, and the fallback goes on from here."""
    stays: Any
    fine: Any
    """Its window is full and it is ahead."""
    proved: Any
    """Its stay is trusted."""
    total: Any
    """The sum of the losses in its window."""
    mean: Any
    pace: Any
    """Its descent a step from window to window."""


def look(s: Watch, xp: Any, *, loss: Any, finite: Any, plain_slope: Any, alive: Any) -> Sight:
    """Measure one step.

    Args:
        s: What was seen before.
        xp: The library.
        loss: The loss, before anyone has moved.
        finite: Whether all gradients are.
        plain_slope: The descent that the fallback's step u promises, −∇·u.
        alive: How many coordinates have a gradient other than 0.
    """
    good = xp.isfinite(loss) & finite
    # How fast the fallback is, while it runs.
    fell = ~s.learned & (s.since > 0) & good
    weight = 1 / xp.minimum(s.measured + 1, 8)
    error = s.last - loss - s.progress
    noise = s.noise + xp.where(fell & (s.measured > 0), weight * (error**2 / 2 - s.noise), 0.0)
    return Sight(
        loss=loss,
        good=good,
        plain_slope=plain_slope,
        promised=xp.maximum(FADE * s.promised, xp.abs(plain_slope)),
        now=s.steps + 1,
        progress=xp.where(fell, s.progress + weight * error, s.progress),
        noise=noise,
        measured=s.measured + fell,
        margin=3 * xp.sqrt(noise),
        alive=alive,
    )


def judge(s: Watch, seen: Sight, xp: Any) -> Verdict:
    """Decide whether the learned rule, on trial or in charge, may go on."""
    # A step that is too long can switch off units for good while the loss falls: no step that
    # follows gradients can bring them back.
    dead = seen.alive < ALIVE * s.alive
    gained, now, good, margin = s.base - seen.loss, seen.now, seen.good, seen.margin

    # A learned rule on trial: is it ahead of the fallback?
    trying, ruling = s.learned & ~s.proven, s.learned & s.proven
    rival = FACTOR * xp.where(seen.measured > 0, xp.maximum(seen.progress, 0) * now, s.bound)
    ahead = gained > rival + margin
    lost = trying & (~good | dead | (gained < rival - margin) | ((now >= TRIAL * 4) & ~ahead))
    won = trying & ~lost & ahead & (now >= TRIAL)

    # A learned rule in charge, looked at when its window is full.
    full = ruling & (now >= s.length) & good
    total = s.total + seen.loss
    mean = total / now
    pace = (s.before - mean) / now
    rich = s.origin - mean > FACTOR * s.stay
    lead = s.origin - s.before
    slack = margin + xp.where(lead > FACTOR * s.stay, SLACK * lead, 0.0)
    rose = full & (mean - s.before > slack)
    broke = ruling & (~good | dead | (gained < -slack - xp.maximum(s.bound, 0)))
    slow = full & ~rose & ~broke & (pace < xp.where(rich, LEASE, FACTOR) * s.bound / now)
    proved = (ruling & (s.since >= TRUST)) | (full & rich)
    back = lost | broke | rose | (slow & ~proved)
    relieved = slow & proved
    return Verdict(
        ruling=ruling,
        won=won,
        back=back,
        relieved=relieved,
        stays=s.learned & ~back & ~relieved,
        fine=full & ~rose & ~broke & ~slow,
        proved=proved,
        total=total,
        mean=mean,
        pace=pace,
    )
