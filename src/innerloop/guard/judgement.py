"""What a safeguard sees of a step, and what it makes of it: who stays, and who has to go."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from .state import SafeguardState
from .trees import count_alive, dot, is_finite

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

    loss: Float[Array, ""]
    good: Bool[Array, ""]
    """Whether the loss and all gradients are finite."""
    plain_step: PyTree
    """The step that the fallback would make."""
    plain_after: PyTree
    """The fallback's state after it."""
    plain_slope: Float[Array, ""]
    """The descent that it promises, −∇·u."""
    promised: Float[Array, ""]
    """The largest such descent, fading."""
    now: Int[Array, ""]
    """Steps since the trial or the window began, this one counted."""
    progress: Float[Array, ""]
    noise: Float[Array, ""]
    measured: Int[Array, ""]
    margin: Float[Array, ""]
    """What the loss may be off by chance."""
    alive: Float[Array, ""]
    """How many coordinates have a gradient other than 0."""


class Verdict(NamedTuple):
    """What becomes of the learned rule."""

    ruling: Bool[Array, ""]
    """It was in charge."""
    won: Bool[Array, ""]
    """Its trial ends well."""
    back: Bool[Array, ""]
    """What it did is undone."""
    relieved: Bool[Array, ""]
    """It stands still, and the fallback goes on from here."""
    stays: Bool[Array, ""]
    fine: Bool[Array, ""]
    """Its window is full and it is ahead."""
    proved: Bool[Array, ""]
    """Its stay is trusted."""
    total: Float[Array, ""]
    """The sum of the losses in its window."""
    mean: Float[Array, ""]
    pace: Float[Array, ""]
    """Its descent a step from window to window."""


def look(
    s: SafeguardState, grads: PyTree, loss: Float[Array, ""], plain: tuple[PyTree, PyTree]
) -> Sight:
    """Measure one step. `plain` is the fallback's (step, state) for these gradients."""
    good = jnp.isfinite(loss) & is_finite(grads)
    plain_step, plain_after = plain
    plain_slope = -dot(grads, plain_step)
    # How fast the fallback is, while it runs.
    fell = ~s.learned & (s.since > 0) & good
    weight = 1 / jnp.minimum(s.measured + 1, 8)
    error = s.last - loss - s.progress
    noise = s.noise + jnp.where(fell & (s.measured > 0), weight * (error**2 / 2 - s.noise), 0.0)
    return Sight(
        loss=loss,
        good=good,
        plain_step=plain_step,
        plain_after=plain_after,
        plain_slope=plain_slope,
        promised=jnp.maximum(FADE * s.promised, jnp.abs(plain_slope)),
        now=s.steps + 1,
        progress=jnp.where(fell, s.progress + weight * error, s.progress),
        noise=noise,
        measured=s.measured + fell,
        margin=3 * jnp.sqrt(noise),
        alive=count_alive(grads),
    )


def judge(s: SafeguardState, seen: Sight) -> Verdict:
    """Decide whether the learned rule, on trial or in charge, may go on."""
    # A step that is too long can switch off units for good while the loss falls: no step that
    # follows gradients can bring them back.
    dead = seen.alive < ALIVE * s.alive
    gained, now, good, margin = s.base - seen.loss, seen.now, seen.good, seen.margin

    # A learned rule on trial: is it ahead of the fallback?
    trying, ruling = s.learned & ~s.proven, s.learned & s.proven
    rival = FACTOR * jnp.where(seen.measured > 0, jnp.maximum(seen.progress, 0) * now, s.bound)
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
    slack = margin + jnp.where(lead > FACTOR * s.stay, SLACK * lead, 0.0)
    rose = full & (mean - s.before > slack)
    broke = ruling & (~good | dead | (gained < -slack - jnp.maximum(s.bound, 0)))
    slow = full & ~rose & ~broke & (pace < jnp.where(rich, LEASE, FACTOR) * s.bound / now)
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
