"""A learned rule that is watched, with a fallback for where it should not be trusted."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from ..errors import InnerloopError
from ..rules import Rule
from ..rules.check import check_optimizer
from .judgement import judge, look
from .state import SafeguardState, init_state
from .transitions import After, is_behind, may_step, next_state, take_turns
from .trees import cast_like, choose


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
        return init_state(learner, plain, params)

    def update(
        grads: PyTree,
        state: SafeguardState,
        params: PyTree | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[PyTree, SafeguardState]:
        _check_arguments(params, value)
        extra = {**extra, "value": value}
        loss = jnp.asarray(value).astype(state.last.dtype)

        # The fallback's state follows the true gradients, whoever steps.
        plain_step, plain_after = plain.update(grads, state.fallback, params, **extra)
        plain_step = cast_like(plain_step, grads)
        seen = look(state, grads, loss, (plain_step, plain_after))
        verdict = judge(state, seen)

        # What the learned rule would do now, if it may.
        def asked() -> tuple[PyTree, PyTree]:
            step, after = learner.update(grads, state.rule, params, **extra)
            return cast_like(step, grads), cast_like(after, state.rule)

        step, rule_after = jax.lax.cond(
            may_step(state, verdict),
            asked,
            lambda: (jax.tree.map(jnp.zeros_like, grads), state.rule),
        )
        turn = take_turns(state, seen, verdict, step, grads=grads, params=params, steps=steps)

        # The fallback's step, or two with one gradient where it is behind.
        params_after = optax.apply_updates(params, plain_step)

        def doubled() -> tuple[PyTree, PyTree]:
            second, after = plain.update(grads, plain_after, params_after, **extra)
            return jax.tree.map(lambda a, b: (a + b).astype(a.dtype), plain_step, second), after

        twice = is_behind(state, seen, turn)
        own_step, own_after = jax.lax.cond(twice, doubled, lambda: (plain_step, plain_after))
        homeward = jax.tree.map(lambda a, b: a - b, state.kept, params)
        onward = choose(turn.takes, step, own_step)
        updates = choose(turn.back, cast_like(homeward, grads), onward)
        after = After(rule=rule_after, fallback=own_after, params=params_after, twice=twice)
        return updates, next_state(state, seen, verdict, turn, after, lambda: learner.init(params))

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _check_arguments(params: PyTree | None, value: Any) -> None:
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
