"""What follows from a safeguard's judgement: whose step it is, and the next state."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from .judgement import FACTOR, Sight, Verdict
from .state import WINDOWS, SafeguardState
from .trees import cast_like, choose, dot, is_finite

WARM = 8
"""Steps for which the rule is shown gradients, and does not step, before it may be tried."""
CATCH_UP = (16, 4)
"""From which step on the fallback makes up for steps it missed, and one step in how many."""
LAST = 0.8
"""The part of a run, where its length is known, after which no trial begins."""


class Turn(NamedTuple):
    """Who makes this step."""

    back: Bool[Array, ""]
    """It leads back to what was kept."""
    takes: Bool[Array, ""]
    """The learned rule makes it."""
    enters: Bool[Array, ""]
    """The learned rule takes over from the fallback."""
    resumes: Bool[Array, ""]
    """It does so without another trial."""
    leaves: Bool[Array, ""]
    """It makes way for the fallback."""
    compared: Bool[Array, ""]
    """The fallback was measured for long enough after it relieved the learned rule."""


class After(NamedTuple):
    """What the two optimizers hold after this step, whoever made it."""

    rule: PyTree
    fallback: PyTree
    params: PyTree
    """Where the fallback's step would lead."""
    twice: Bool[Array, ""]
    """Whether the fallback made two steps with one gradient."""


def may_step(s: SafeguardState, verdict: Verdict) -> Bool[Array, ""]:
    """Whether the learned rule has to be asked for its step."""
    soon = (s.wait <= WARM) | ((s.pace > 0) & (s.measured + WARM >= s.length))
    return verdict.stays | (~s.learned & soon)


def take_turns(
    s: SafeguardState,
    seen: Sight,
    verdict: Verdict,
    step: PyTree,
    *,
    grads: PyTree,
    params: PyTree,
    steps: int | None,
) -> Turn:
    """Decide who steps, given the `step` that the learned rule would make."""
    compared = (s.pace > 0) & (seen.measured >= s.length)
    # No longer than what can be taken back without loss of digits.
    short = dot(step, step) <= 1e6 * dot(seen.plain_step, seen.plain_step) + dot(params, params)
    sane = seen.good & is_finite(step) & short
    resumes = ~s.learned & sane & compared & (s.pace > FACTOR * seen.progress)
    begins = ~s.learned & ~resumes & sane & (s.wait <= 0)
    begins = begins & (-dot(grads, step) > jnp.maximum(seen.progress, seen.promised))
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


def is_behind(s: SafeguardState, seen: Sight, turn: Turn) -> Bool[Array, ""]:
    """Whether the fallback makes two steps with one gradient, to catch up.

    Not at the start: the first gradients are the largest, and an average such as Adam's would long
    remember that it saw one of them twice.
    """
    late, every = CATCH_UP
    twice = ~s.learned & ~turn.enters & (s.debt > 0) & (s.since % every == 0) & (s.age >= late)
    return twice & seen.good


def next_state(
    s: SafeguardState,
    seen: Sight,
    verdict: Verdict,
    turn: Turn,
    after: After,
    new_rule: Callable[[], PyTree],
) -> SafeguardState:
    """The state after this step. `new_rule` makes a learned rule's first state."""
    back, takes, enters = turn.back, turn.takes, turn.enters
    won, fine, relieved = verdict.won, verdict.fine, verdict.relieved
    keeps = enters | (fine & verdict.proved)
    refused = ~s.learned & (s.wait <= -WARM)
    fresh, restarts = turn.leaves | refused, turn.leaves | enters | won | fine
    kept_pace = jnp.where(back | enters | (~s.learned & turn.compared), 0.0, s.pace)
    promise = jnp.where(takes, seen.plain_slope, 0.0)
    return SafeguardState(
        # A learned rule that was turned away begins anew when it is tried again.
        rule=jax.lax.cond(fresh, lambda: cast_like(new_rule(), s.rule), lambda: after.rule),
        fallback=choose(back, s.kept_fallback, choose(takes, seen.plain_after, after.fallback)),
        kept=choose(keeps, after.params, s.kept),
        kept_fallback=choose(keeps, seen.plain_after, s.kept_fallback),
        learned=takes,
        proven=takes & (verdict.ruling | won | turn.resumes),
        age=s.age + 1,
        steps=jnp.where(restarts, 0, seen.now),
        since=jnp.where(turn.leaves | enters | won, 1, s.since + 1),
        length=_window(s, won, fine),
        wait=jnp.where(fresh, s.patience, s.wait - ~s.learned),
        patience=_patience(s, back | refused, relieved),
        # A step in charge counts twice: it may have gone wrong where the loss hardly shows it.
        debt=s.debt + (jnp.where(takes, 1 + verdict.ruling, 0) - after.twice),
        last=jnp.where(back, s.base, seen.loss),
        base=jnp.where(keeps, seen.loss, s.base),
        alive=jnp.where(keeps, seen.alive, s.alive),
        origin=jnp.where(enters, seen.loss, s.origin),
        before=jnp.where(won | turn.resumes, seen.loss, jnp.where(fine, verdict.mean, s.before)),
        total=jnp.where(restarts | ~verdict.ruling, 0.0, verdict.total),
        bound=jnp.where(restarts, 0.0, s.bound) + promise,
        stay=jnp.where(enters, 0.0, s.stay) + promise,
        promised=jnp.where(seen.good, seen.promised, s.promised),
        progress=jnp.where(relieved, 0.0, seen.progress),
        noise=seen.noise,
        measured=jnp.where(relieved, 0, seen.measured),
        pace=jnp.where(relieved, verdict.pace, kept_pace),
    )


def _window(s: SafeguardState, won: Bool[Array, ""], fine: Bool[Array, ""]) -> Int[Array, ""]:
    longer = jnp.minimum(2 * s.length, WINDOWS[1])
    return jnp.where(won, WINDOWS[0], jnp.where(fine, longer, s.length))


def _patience(
    s: SafeguardState, failed: Bool[Array, ""], relieved: Bool[Array, ""]
) -> Int[Array, ""]:
    factor = jnp.where(failed, 10, jnp.where(relieved, 2, 1))
    return jnp.minimum(s.patience, 10**7) * factor
