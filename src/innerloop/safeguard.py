"""A learned rule that is watched, with a fallback for where it should not be trusted."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from .errors import InnerloopError
from .rules import Rule
from .rules.check import check_optimizer

TRIAL = 5
"""Steps that a learned rule has to be ahead for before it is in charge: at most four times that."""
WINDOWS = (5, 40)
"""Steps between two looks at a rule in charge: the first, doubled each time up to the second."""
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
WAIT = 10
"""Steps before the second trial; ten times as many after each trial that failed."""
WARM = 8
"""Steps for which the rule is shown gradients, and does not step, before it may be tried."""
FADE = 0.99
"""The decay of the largest descent that the fallback promised."""
CATCH_UP = (16, 4)
"""From which step on the fallback makes up for steps it missed, and one step in how many."""
LAST = 0.8
"""The part of a run, where its length is known, after which no trial begins."""


class SafeguardState(NamedTuple):
    """Both optimizers, where to go back to, and what was seen of their progress.

    All are arrays; scalars are floats or int32, unless said.
    """

    rule: PyTree
    fallback: PyTree
    kept: PyTree
    """The parameters one step of the fallback after the last point that is trusted."""
    kept_fallback: PyTree
    """The fallback's state there."""
    learned: Bool[Array, ""]
    """Whether the last step was the learned rule's."""
    proven: Bool[Array, ""]
    """Whether it is in charge, and not on trial."""
    age: Int[Array, ""]
    steps: Int[Array, ""]
    """Since the trial or the window began."""
    since: Int[Array, ""]
    """Since the one took over from the other."""
    length: Int[Array, ""]
    """Of the window."""
    wait: Int[Array, ""]
    """Steps of the fallback until the learned rule may be tried."""
    patience: Int[Array, ""]
    """What `wait` will be next."""
    debt: Int[Array, ""]
    """Steps that the fallback has to catch up with."""
    last: Float[Array, ""]
    """The loss before the last step."""
    base: Float[Array, ""]
    """The loss where `kept` was kept."""
    alive: Float[Array, ""]
    """How many coordinates had a gradient other than 0 there."""
    origin: Float[Array, ""]
    """The loss where the learned rule took over."""
    before: Float[Array, ""]
    """The mean loss of the window before."""
    total: Float[Array, ""]
    """The sum of the losses in the window."""
    bound: Float[Array, ""]
    """Σ −∇·u of the fallback's steps u that were not made, in the window."""
    stay: Float[Array, ""]
    """The same since the learned rule took over."""
    promised: Float[Array, ""]
    """The largest |∇·u| of the fallback, fading."""
    progress: Float[Array, ""]
    """The fallback's descent a step, averaged over the last eight."""
    noise: Float[Array, ""]
    """The variance of a loss about that."""
    measured: Int[Array, ""]
    """How many steps have gone into the average."""
    pace: Float[Array, ""]
    """The learned rule's descent a step when it was relieved; 0 when the comparison is over."""


def safeguard(
    rule: Rule | optax.GradientTransformation,
    fallback: optax.GradientTransformation,
    *,
    steps: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`rule` where it is far ahead of `fallback`, and `fallback` elsewhere.

    For a learned rule on a problem that it was not trained for. It is used as any Optax
    transformation, `update(grads, state, params, value=loss)`, and sees nothing but that: no loss
    or gradient is computed beside the user's own. `steps` is the run's length, if it is known:
    then no trial begins in its last fifth, and no run ends in the middle of one.

    A learned step is tried only where it promises more descent to first order, −∇·u, than the
    fallback does, and stays in charge while the loss falls by three times what the fallback
    promises along the way (for a convex loss the fallback's own step could not gain more than it
    promises). A step that is not finite, a loss that is not, one that rises, and
    gradients that become exactly 0 in half of the coordinates that had one (dead units) lead back
    to the parameters and the state that the fallback would have had; what the learned rule gained
    in a short stay is given up too. Trials that failed are ten times as far apart each time.
    Afterwards the fallback catches up with the steps it missed, by making two with one gradient
    now and then. When a learned rule that was in charge is relieved because it stands still, and
    the fallback turns out to be slower, the rule is back at once.

    That a learned optimizer is used while a fallback's condition holds is from Heaton et al.,
    "Safeguarded learned convex optimization" (2020, arXiv:2003.01880), and that the two are
    compared by the loss from Prémont-Schwarz et al., "A simple guard for learned optimizers"
    (2022, arXiv:2201.12426); the conditions are our own.

    Parameters are any pytree of float arrays; updates have the dtypes of `grads`, and `value` is a
    real scalar, which may be noisy, negative or 0. The way back is an update like any other,
    and exact to the rounding of the parameters' dtype. The state holds both optimizers' states, and
    a copy of the parameters and of the fallback's state. Raises `InnerloopError` where `steps` is
    no whole number from 1 on, or one of the two is no optimizer, and in `update` where `params` or
    `value` is missing, or `value` is not one number.
    """
    if isinstance(steps, int | float) and (steps < 1 or not float(steps).is_integer()):
        raise InnerloopError(
            f"steps is {steps}; it must be a whole number from 1 on, or None if it is unknown."
        )
    check_optimizer(rule, name="The rule")
    check_optimizer(fallback, name="The fallback")
    learner = optax.with_extra_args_support(rule.as_optax() if isinstance(rule, Rule) else rule)
    plain = optax.with_extra_args_support(fallback)

    def init(params: PyTree) -> SafeguardState:
        zero, none, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.asarray(False)
        state = SafeguardState(
            rule=learner.init(params),
            fallback=plain.init(params),
            kept=params,
            kept_fallback=plain.init(params),
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
        # Each leaf in a buffer of its own, so that the state can be donated.
        return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)

    def update(
        grads: PyTree,
        state: SafeguardState,
        params: PyTree | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[PyTree, SafeguardState]:
        if value is None:
            raise InnerloopError(
                "A safeguard watches the loss, and value is None; "
                "call update(grads, state, params, value=loss)."
            )
        if params is None:
            raise InnerloopError(
                "A safeguard can go back to earlier parameters, and params is None; "
                "call update(grads, state, params, value=loss)."
            )
        if jnp.shape(value) != ():
            raise InnerloopError(f"value is the loss, one number; its shape is {jnp.shape(value)}.")
        s, extra = state, {**extra, "value": value}
        loss = jnp.asarray(value).astype(s.last.dtype)
        good = jnp.isfinite(loss) & _finite(grads)

        # The fallback's state follows the true gradients, whoever steps.
        plain_step, plain_after = plain.update(grads, s.fallback, params, **extra)
        plain_step = _like(plain_step, grads)
        plain_slope = -_dot(grads, plain_step)
        promised = jnp.maximum(FADE * s.promised, jnp.abs(plain_slope))
        now = s.steps + 1

        # How fast the fallback is, while it runs.
        fell = ~s.learned & (s.since > 0) & good
        weight = 1 / jnp.minimum(s.measured + 1, 8)
        error = s.last - loss - s.progress
        progress = jnp.where(fell, s.progress + weight * error, s.progress)
        noise = s.noise + jnp.where(fell & (s.measured > 0), weight * (error**2 / 2 - s.noise), 0.0)
        measured = s.measured + fell
        margin = 3 * jnp.sqrt(noise)

        # A step that is too long can switch off units for good while the loss falls: no step that
        # follows gradients can bring them back.
        alive = _alive(grads)
        dead = alive < ALIVE * s.alive

        # A learned rule on trial: is it ahead of the fallback?
        trying, ruling = s.learned & ~s.proven, s.learned & s.proven
        gained = s.base - loss
        rival = FACTOR * jnp.where(measured > 0, jnp.maximum(progress, 0) * now, s.bound)
        ahead = gained > rival + margin
        lost = trying & (~good | dead | (gained < rival - margin) | ((now >= TRIAL * 4) & ~ahead))
        won = trying & ~lost & ahead & (now >= TRIAL)

        # A learned rule in charge, looked at when its window is full.
        full = ruling & (now >= s.length) & good
        total = s.total + loss
        mean = total / now
        pace = (s.before - mean) / now
        rich = s.origin - mean > FACTOR * s.stay
        lead = s.origin - s.before
        slack = margin + jnp.where(lead > FACTOR * s.stay, SLACK * lead, 0.0)
        rose = full & (mean - s.before > slack)
        broke = ruling & (~good | dead | (gained < -slack - jnp.maximum(s.bound, 0)))
        slow = full & ~rose & ~broke & (pace < jnp.where(rich, LEASE, FACTOR) * s.bound / now)
        fine = full & ~rose & ~broke & ~slow
        proved = (ruling & (s.since >= TRUST)) | (full & rich)
        back = lost | broke | rose | (slow & ~proved)
        relieved = slow & proved
        stays = s.learned & ~back & ~relieved

        # What the learned rule would do now, if it may.
        compared = (s.pace > 0) & (measured >= s.length)
        soon = (s.wait <= WARM) | ((s.pace > 0) & (s.measured + WARM >= s.length))
        step, rule_after = jax.lax.cond(
            stays | (~s.learned & soon),
            lambda: _stepped(learner.update(grads, s.rule, params, **extra), grads, s.rule),
            lambda: (jax.tree.map(jnp.zeros_like, grads), s.rule),
        )
        # No longer than what can be taken back without loss of digits.
        short = _dot(step, step) <= 1e6 * _dot(plain_step, plain_step) + _dot(params, params)
        sane = good & _finite(step) & short
        resumes = ~s.learned & sane & compared & (s.pace > FACTOR * progress)
        begins = ~s.learned & ~resumes & sane & (s.wait <= 0)
        begins = begins & (-_dot(grads, step) > jnp.maximum(progress, promised))
        if steps is not None:
            begins = begins & (s.age < LAST * steps)
        back = back | (stays & ~sane)
        takes, enters = (stays & sane) | begins | resumes, begins | resumes
        leaves = back | relieved

        # The fallback's step, or two with one gradient where it is behind. Not at the start: the
        # first gradients are the largest, and an average such as Adam's would long remember that
        # it saw one of them twice.
        late, every = CATCH_UP
        twice = ~s.learned & ~enters & (s.debt > 0) & (s.since % every == 0) & (s.age >= late)
        after_one = optax.apply_updates(params, plain_step)
        own_step, own_after = jax.lax.cond(
            twice & good,
            lambda: _twice(plain_step, plain.update(grads, plain_after, after_one, **extra)),
            lambda: (plain_step, plain_after),
        )
        # A step in charge counts twice: it may have gone wrong where the loss hardly shows it.
        owed = jnp.where(takes, 1 + ruling, 0) - (twice & good)

        keeps = enters | (fine & proved)
        homeward = jax.tree.map(lambda a, b: a - b, s.kept, params)
        updates = _choose(back, _like(homeward, grads), _choose(takes, step, own_step))
        refused = ~s.learned & (s.wait <= -WARM)
        fresh, restarts = leaves | refused, leaves | enters | won | fine
        grown = jnp.minimum(s.patience, 10**7) * jnp.where(
            back | refused, 10, jnp.where(relieved, 2, 1)
        )
        kept_pace = jnp.where(back | enters | (~s.learned & compared), 0.0, s.pace)
        return updates, SafeguardState(
            # A learned rule that was turned away begins anew when it is tried again.
            rule=jax.lax.cond(
                fresh, lambda: _like(learner.init(params), s.rule), lambda: rule_after
            ),
            fallback=_choose(back, s.kept_fallback, _choose(takes, plain_after, own_after)),
            kept=_choose(keeps, after_one, s.kept),
            kept_fallback=_choose(keeps, plain_after, s.kept_fallback),
            learned=takes,
            proven=takes & (ruling | won | resumes),
            age=s.age + 1,
            steps=jnp.where(restarts, 0, now),
            since=jnp.where(leaves | enters | won, 1, s.since + 1),
            length=jnp.where(
                won, WINDOWS[0], jnp.where(fine, jnp.minimum(2 * s.length, WINDOWS[1]), s.length)
            ),
            wait=jnp.where(fresh, s.patience, s.wait - ~s.learned),
            patience=grown,
            debt=s.debt + owed,
            last=jnp.where(back, s.base, loss),
            base=jnp.where(keeps, loss, s.base),
            alive=jnp.where(keeps, alive, s.alive),
            origin=jnp.where(enters, loss, s.origin),
            before=jnp.where(won | resumes, loss, jnp.where(fine, mean, s.before)),
            total=jnp.where(restarts | ~ruling, 0.0, total),
            bound=jnp.where(restarts, 0.0, s.bound) + jnp.where(takes, plain_slope, 0.0),
            stay=jnp.where(enters, 0.0, s.stay) + jnp.where(takes, plain_slope, 0.0),
            promised=jnp.where(good, promised, s.promised),
            progress=jnp.where(relieved, 0.0, progress),
            noise=noise,
            measured=jnp.where(relieved, 0, measured),
            pace=jnp.where(relieved, pace, kept_pace),
        )

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _stepped(result: tuple[PyTree, PyTree], grads: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
    return _like(result[0], grads), _like(result[1], state)


def _twice(step: PyTree, second: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
    both = jax.tree.map(lambda a, b: (a + b).astype(a.dtype), step, second[0])
    return both, second[1]


def _finite(tree: PyTree) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.asarray(leaves, bool))


def _alive(tree: PyTree) -> Float[Array, ""]:
    counts = [jnp.sum(leaf != 0, dtype=jnp.float32) for leaf in jax.tree.leaves(tree)]
    return sum(counts, jnp.zeros(()))


def _dot(one: PyTree, other: PyTree) -> Float[Array, ""]:
    def product(a: Any, b: Any) -> Array:
        return jnp.sum(jnp.asarray(a, jnp.float32) * jnp.asarray(b, jnp.float32))

    products = jax.tree.map(product, one, other)
    return sum(jax.tree.leaves(products), jnp.zeros(()))


def _choose(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _like(tree: PyTree, example: PyTree) -> PyTree:
    """`tree` in the dtypes of `example`."""
    return jax.tree.map(lambda a, b: jnp.asarray(a, jnp.result_type(b)), tree, example)
