"""A learned rule that is watched, with a fallback for where it should not be trusted."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from ..errors import InnerloopError
from ..rules import Rule
from ..rules.check import check_optimizer
from ..runtime.promotion import usual_promotion
from .judgement import judge, look
from .state import SafeguardState, init_state
from .transitions import is_behind, is_short, may_step, next_watch, outcome, take_turns
from .trees import cast_like, choose, count_alive, dot, is_finite


def safeguard(
    rule: Rule | optax.GradientTransformation,
    fallback: optax.GradientTransformation,
    *,
    steps: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`rule` where it is far ahead of `fallback`, and `fallback` elsewhere.

    For a learned rule on a problem that it was not trained for. It is used as any Optax
    transformation, `update(grads, state, params, value=loss)`, and sees nothing else: no loss or
    gradient is computed beside the user's own.

    A learned step is tried only where it promises more descent to first order, −∇·u, than the
    fallback does. It stays in charge while the loss falls by three times what the fallback promises
    along the way (for a convex loss the fallback's own step could not gain more than it promises).
    Four things lead back to the parameters and the state that the fallback would have had: a step
    that is not finite, a loss that is not, a loss that rises, and gradients that become exactly 0
    in half of the coordinates that had one (dead units). What the learned rule gained in a short
    stay is given up too. After a trial that failed the next one is ten times as far away.
    Afterwards the fallback catches up with the steps it missed, by making two with one gradient now
    and then. A learned rule that was in charge is relieved when it stands still; if the fallback
    turns out to be slower, the rule is back at once.

    Parameters are any pytree of float arrays, and updates have the dtypes of `grads`. `value` is a
    real scalar, which may be noisy, negative or 0. The way back is an update like any other, and
    exact to the rounding of the parameters' dtype. The state holds both optimizers' states, and a
    copy of the parameters and of the fallback's state.

    Args:
        rule: The learned rule, or any Optax transformation.
        fallback: The Optax transformation that is trusted.
        steps: The run's length, 1 or more; None if it is unknown. With it no trial begins in the
            run's last fifth, and no run ends in the middle of one.

    Returns:
        An Optax transformation, whose `update` needs `params` and `value`.

    Raises:
        InnerloopError: `steps` is no whole number from 1 on, or one of the two is no optimizer; in
            `update`, `params` or `value` is missing, or `value` is not one number.

    Example:
        >>> import innerloop
        >>> import jax.numpy as jnp
        >>> import optax
        >>> rule = innerloop.OptaxRule(optax.sgd, 0.1)
        >>> optimizer = innerloop.safeguard(rule, optax.adam(0.01), steps=100)
        >>> params = jnp.ones(2)
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(params, state, params, value=jnp.sum(params**2) / 2)
        >>> updates.shape
        (2,)

    References:
        Heaton et al., "Safeguarded learned convex optimization" (2020, arXiv:2003.01880), for a
        learned optimizer that is used while a fallback's condition holds; Prémont-Schwarz et al.,
        "A simple guard for learned optimizers" (2022, arXiv:2201.12426), for a comparison of the
        two by the loss. The conditions are our own.
    """
    guarded = _guarded(rule, fallback, steps)

    def init(params: PyTree) -> SafeguardState:
        return init_state(guarded.learner, guarded.plain, params)

    @usual_promotion()
    def update(
        grads: PyTree,
        state: SafeguardState,
        params: PyTree | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[PyTree, SafeguardState]:
        here = _check_arguments(params, value)
        return guarded(grads, state, here, {**extra, "value": value})

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _guarded(
    rule: Rule | optax.GradientTransformation,
    fallback: optax.GradientTransformation,
    steps: int | None,
) -> "_Guarded":
    """Raises `InnerloopError` as `safeguard` does."""
    if isinstance(steps, int | float) and (steps < 1 or not float(steps).is_integer()):
        raise InnerloopError(
            f"steps is {steps}; it must be a whole number from 1 on, or None if it is unknown."
        )
    check_optimizer(rule, name="The rule")
    check_optimizer(fallback, name="The fallback")
    learner = optax.with_extra_args_support(rule.as_optax() if isinstance(rule, Rule) else rule)
    return _Guarded(learner, optax.with_extra_args_support(fallback), steps)


@dataclasses.dataclass(frozen=True)
class _Guarded:
    """One step of the learned rule or of the fallback, whichever is trusted."""

    learner: optax.GradientTransformationExtraArgs
    plain: optax.GradientTransformationExtraArgs
    steps: int | None

    def __call__(
        self, grads: PyTree, state: SafeguardState, here: Any, extra: dict[str, Any]
    ) -> tuple[PyTree, SafeguardState]:
        learner, plain, steps, value = self.learner, self.plain, self.steps, extra["value"]
        watch = state.watch

        # The fallback's state follows the true gradients, whoever steps.
        plain_step, plain_after = plain.update(grads, state.fallback, here, **extra)
        plain_step = cast_like(plain_step, grads)
        seen = look(
            watch,
            jnp,
            loss=jnp.asarray(value).astype(watch.last.dtype),
            finite=is_finite(grads),
            plain_slope=-dot(grads, plain_step),
            alive=count_alive(grads),
        )
        verdict = judge(watch, seen, jnp)

        # What the learned rule would do now, if it may.
        def asked() -> tuple[PyTree, PyTree]:
            step, after = learner.update(grads, state.rule, here, **extra)
            return cast_like(step, grads), cast_like(after, state.rule)

        step, rule_after = jax.lax.cond(
            may_step(watch, verdict),
            asked,
            lambda: (jax.tree.map(jnp.zeros_like, grads), state.rule),
        )
        short = is_short(dot(step, step), dot(plain_step, plain_step), dot(here, here))
        sane, slope = is_finite(step) & short, -dot(grads, step)
        turn = take_turns(watch, seen, verdict, jnp, sane=sane, slope=slope, steps=steps)

        # The fallback's step, or two with one gradient where it is behind.
        params_after = optax.apply_updates(here, plain_step)

        def doubled() -> tuple[PyTree, PyTree]:
            second, after = plain.update(grads, plain_after, params_after, **extra)
            return jax.tree.map(lambda a, b: (a + b).astype(a.dtype), plain_step, second), after

        twice = is_behind(watch, seen, turn)
        own_step, own_after = jax.lax.cond(twice, doubled, lambda: (plain_step, plain_after))
        homeward = jax.tree.map(lambda a, b: a - b, state.kept, here)
        onward = choose(turn.takes, step, own_step)
        updates = choose(turn.back, cast_like(homeward, grads), onward)
        keeps, fresh = outcome(watch, verdict, turn)
        onward_state = choose(turn.takes, plain_after, own_after)
        return updates, SafeguardState(
            rule=jax.lax.cond(
                fresh, lambda: cast_like(learner.init(here), state.rule), lambda: rule_after
            ),
            fallback=choose(turn.back, state.kept_fallback, onward_state),
            kept=choose(keeps, params_after, state.kept),
            kept_fallback=choose(keeps, plain_after, state.kept_fallback),
            watch=next_watch(watch, seen, verdict, turn, jnp, twice=twice),
        )


def _check_arguments(params: PyTree | None, value: Any) -> Any:
    """`params`, which are there."""
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
    return params
