"""A learned rule that is watched, with a fallback for where it should not be trusted."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from .errors import InnerloopError
from .rules import Rule


class _Settings(NamedTuple):
    trial: int
    wait: int
    growth: int
    screened: int
    catch_up: int


class SafeguardState(NamedTuple):
    """Both optimizers, where to go back to, and what was seen of their progress."""

    rule: PyTree
    fallback: PyTree
    kept: PyTree
    """The parameters and the fallback's state one step of the fallback after the last point
    that is trusted: where it goes on if the learned rule fails."""
    kept_fallback: PyTree
    learned: Bool[Array, ""]
    """Whether the last step was the learned rule's."""
    proven: Bool[Array, ""]
    steps: Int[Array, ""]
    """Since the trial or the window began, or since the fallback took over."""
    wait: Int[Array, ""]
    """Steps of the fallback until the learned rule is considered again."""
    patience: Int[Array, ""]
    debt: Int[Array, ""]
    last: Float[Array, ""]
    base: Float[Array, ""]
    progress: Float[Array, ""]
    noise: Float[Array, ""]
    measured: Int[Array, ""]
    bound: Float[Array, ""]
    total: Float[Array, ""]
    before: Float[Array, ""]
    length: Int[Array, ""]
    since: Int[Array, ""]
    promised: Float[Array, ""]
    age: Int[Array, ""]


def safeguard(
    rule: Rule | optax.GradientTransformation,
    fallback: optax.GradientTransformation,
    *,
    trial: int = 5,
    wait: int = 10,
    growth: int = 10,
    screened: int = 8,
    catch_up: int = 4,
    settle: int = 16,
    fade: float = 0.99,
    trust: int = 20,
    owed: int = 2,
    greedy: float = 3.0,
    owes: bool = True,
) -> optax.GradientTransformationExtraArgs:
    learned = optax.with_extra_args_support(rule.as_optax() if isinstance(rule, Rule) else rule)
    plain = optax.with_extra_args_support(fallback)

    def init(params: PyTree) -> SafeguardState:
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        state = SafeguardState(
            rule=learned.init(params),
            fallback=plain.init(params),
            kept=params,
            kept_fallback=plain.init(params),
            learned=jnp.asarray(False),
            proven=jnp.asarray(False),
            steps=none,
            wait=none,
            patience=none + wait,
            debt=none,
            last=zero,
            base=zero,
            progress=zero,
            noise=zero,
            measured=none,
            bound=zero,
            total=zero,
            before=zero,
            length=none + trial,
            since=none,
            promised=zero,
            age=none,
        )
        return jax.tree.map(jnp.copy, state)

    def update(grads, state, params=None, *, value=None, **extra):
        if params is None or value is None:
            missing = "params" if params is None else "value"
            raise InnerloopError("A safeguard watches the loss; " + missing)
        extra = {**extra, "value": value}
        loss = jnp.asarray(value).astype(state.last.dtype)
        s = state
        good = jnp.isfinite(loss) & _finite(grads)
        step_f, next_f = plain.update(grads, s.fallback, params, **extra)
        step_f = _like(step_f, grads)
        slope_f = -_dot(grads, step_f)
        drop = s.last - loss
        now = s.steps + 1
        margin = 3 * jnp.sqrt(s.noise)

        # The fallback's progress, from the losses before and after its steps.
        fell = ~s.learned & (s.since > 0) & good
        weight = 1 / jnp.minimum(s.measured + 1, 8)
        error = drop - s.progress
        progress = jnp.where(fell, s.progress + weight * error, s.progress)
        noise = jnp.where(
            fell & (s.measured > 0), s.noise + weight * (error**2 / 2 - s.noise), s.noise
        )
        measured = s.measured + fell

        # A trial.
        rival = jnp.where(measured > 0, jnp.maximum(progress, 0), s.bound / jnp.maximum(now, 1))
        gained = s.base - loss
        rival = greedy * rival
        behind = gained < rival * now - margin
        ahead = gained > rival * now + margin
        trying = s.learned & ~s.proven
        lost = trying & (~good | behind | ((now >= 4 * trial) & ~ahead))
        won = trying & ~lost & ahead & (now >= trial)

        # In charge: windows.
        ruling = s.learned & s.proven
        total = s.total + loss
        full = ruling & (now >= s.length) & good
        mean = total / jnp.maximum(now, 1)
        per_step = (s.before - mean) / now
        rose = full & (mean - s.before > margin)
        broke = ruling & (~good | (gained < -margin - jnp.maximum(s.bound, 0)))
        slower = full & ~rose & (per_step < greedy * s.bound / now)
        fine = full & ~rose & ~slower & ~broke

        # A short stay is undone: what it gained may be what is easy, at the cost of what is slow.
        proved = ruling & (s.since >= trust)
        back = lost | broke | rose | (slower & ~proved)
        slower = slower & proved
        debt = s.debt
        to_fallback = back | slower
        learned_now = s.learned & ~to_fallback

        # The learned rule's step.
        near = ~s.learned & (s.wait <= screened)
        wanted = learned_now | near

        def propose():
            step, after = learned.update(grads, s.rule, params, **extra)
            step = _like(step, grads)
            return step, after

        def rest():
            return jax.tree.map(jnp.zeros_like, grads), s.rule

        step_l, next_l = jax.lax.cond(wanted, propose, rest)
        slope_l = -_dot(grads, step_l)
        sane = (
            good
            & _finite(step_l)
            & (_dot(step_l, step_l) <= 1e6 * _dot(step_f, step_f) + _dot(params, params))
        )
        promised = jnp.maximum(fade * s.promised, jnp.abs(slope_f))
        bar = jnp.maximum(progress, promised)
        begins = ~s.learned & (s.wait <= 0) & sane & (slope_l > bar)
        unfit = learned_now & ~sane
        back = back | unfit
        to_fallback = to_fallback | unfit
        takes = (learned_now & sane) | begins

        # The fallback's step, or two of them.
        doubles = ~s.learned & ~begins & (debt > 0) & (s.since % catch_up == 0) & (s.age >= settle) & good

        def twice():
            moved = optax.apply_updates(params, step_f)
            more, after = plain.update(grads, next_f, moved, **extra)
            return jax.tree.map(lambda a, b: a + b, step_f, _like(more, grads)), after

        step_2, next_2 = jax.lax.cond(doubles, twice, lambda: (step_f, next_f))
        debt = debt - doubles + jnp.where(takes, jnp.where(s.proven & s.learned & proved, owed, 1), 0)

        # Where to return to.
        keeps = begins | (fine & proved)
        moved = optax.apply_updates(params, step_f)
        kept = _choose(keeps, moved, s.kept)
        kept_f = _choose(keeps, next_f, s.kept_fallback)
        homeward = jax.tree.map(lambda a, b: (a - b).astype(jnp.result_type(b)), s.kept, params)
        updates = _choose(back, _like(homeward, grads), _choose(takes, step_l, step_2))
        fallback_after = _choose(back, s.kept_fallback, _choose(takes, next_f, next_2))

        switched = to_fallback | begins | won
        restart = switched | fine
        # What is waited
        refused = ~s.learned & (s.wait <= -screened)
        longer = back | refused
        patience = jnp.where(longer, s.patience * growth, jnp.where(slower, s.patience * 2, s.patience))
        wait_now = jnp.where(
            to_fallback, s.patience, s.wait - (~s.learned)
        )
        wait_now = jnp.where(refused, s.patience, wait_now)
        fresh = to_fallback | refused
        rule_after = jax.lax.cond(fresh, lambda: _cast(learned.init(params), s.rule), lambda: next_l)
        return updates, SafeguardState(
            rule=rule_after,
            fallback=fallback_after,
            kept=kept,
            kept_fallback=kept_f,
            learned=takes,
            proven=takes & (s.proven & ~begins | won),
            steps=jnp.where(restart, 0, now),
            wait=wait_now,
            patience=patience,
            debt=debt,
            last=jnp.where(back, s.base, loss),
            base=jnp.where(keeps, loss, s.base),
            progress=jnp.where(slower, 0.0, progress),
            noise=noise,
            measured=jnp.where(slower, 0, measured),
            bound=jnp.where(restart, 0.0, s.bound) + jnp.where(takes, slope_f, 0.0),
            total=jnp.where(restart, 0.0, jnp.where(ruling, total, 0.0)),
            before=jnp.where(won, loss, jnp.where(fine, mean, s.before)),
            length=jnp.where(won, trial, jnp.where(fine, jnp.minimum(s.length * 5 // 4, 50), s.length)),
            since=jnp.where(switched, 1, s.since + 1),
            promised=promised,
            age=s.age + 1,
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)] or [jnp.asarray(True)]).all()


def _dot(one: PyTree, other: PyTree) -> Float[Array, ""]:
    products = jax.tree.map(
        lambda a, b: jnp.sum(a.astype(jnp.float32) * b.astype(jnp.float32)), one, other
    )
    return sum(jax.tree.leaves(products), jnp.zeros(()))


def _choose(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _like(tree: PyTree, example: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a.astype(jnp.result_type(b)), tree, example)


_cast = _like
