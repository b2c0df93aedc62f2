"""The meta-gradient of one window of steps, two ways: by hand-ordered adjoint, or plainly."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ...rules import Rule
from ...rules._batch import batched
from ...tasks import Task
from ...unroll import InnerLoop, unroll
from ..objectives import Objective

Gradient = tuple[Float[Array, ""], Rule, InnerLoop]


def window_objective(
    objective: Objective, losses: Float[Array, "window problems"], loop: InnerLoop, horizon: int
) -> Float[Array, ""]:
    """`objective` of the losses that follow `loop`."""
    steps = loop.step + jnp.arange(1, losses.shape[0] + 1)[:, None]
    return objective(losses, steps, horizon)


def by_autodiff(
    rule: Rule,
    task: Task,
    loop: InnerLoop,
    window: int,
    objective: Objective,
    horizon: int,
    *,
    second_order: bool = False,
) -> Gradient:
    """(meta-objective, gradient, loop after `window` steps), by automatic differentiation.

    The reference for `by_adjoint`, and the only way to second order.
    """
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)

    def meta_loss(arrays):
        after, losses = unroll(
            eqx.combine(arrays, static), task, loop, window, second_order=second_order
        )
        return window_objective(objective, losses, loop, horizon), after

    (value, after), gradient = jax.value_and_grad(meta_loss, has_aux=True)(arrays)
    return value, gradient, after


def by_adjoint(
    rule: Rule, task: Task, loop: InnerLoop, window: int, objective: Objective, horizon: int
) -> Gradient:
    """The first-order gradient of `by_autodiff`, with no second pass through the problem.

    With the dashed edges of Andrychowicz et al. (2016, Figure 2) cut, θ_t depends on an
    earlier update by addition and through the rule alone, so the adjoint of an update is a
    running sum of gradients w_t ∇f(θ_t) that the forward pass has already computed. The
    pass backward walks the rule, recomputing one step of it at a time: what is kept of each
    step is what the rule saw, never the problem's activations.
    """
    after, (moments, losses) = unroll(
        rule, task, loop, window, record=lambda moment, loss: (moment, loss)
    )
    value, weights = jax.value_and_grad(
        lambda losses: window_objective(objective, losses, loop, horizon)
    )(losses)
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)

    def body(carry, at_step):
        pull_params, pull_state, gradient = carry
        moment, weight = at_step

        def step(arrays, state, params):
            rules = batched(eqx.combine(arrays, static))
            return rules.update(moment.grads, state, params, moment.loss)

        _, pullback = jax.vjp(step, arrays, moment.state, moment.params)
        pull_arrays, pull_state, through_rule = pullback((pull_params, pull_state))
        pull_params = jax.tree.map(
            lambda later, through, here: later + through + here,
            pull_params,
            through_rule,
            _scaled(moment.grads, weight),
        )
        return (pull_params, pull_state, jax.tree.map(jnp.add, gradient, pull_arrays)), None

    # losses[t] is f(θ_{t+1}), whose gradient is what the rule sees one step later; f(θ_0)
    # does not count, and the last gradient is the one that the loop carries on with.
    at_seen = jnp.concatenate([jnp.zeros_like(weights[:1]), weights[:-1]])
    last_state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), moments.state)
    carry = (
        _scaled(after.grads, weights[-1]),
        last_state,
        jax.tree.map(jnp.zeros_like, arrays),
    )
    (_, _, gradient), _ = jax.lax.scan(body, carry, (moments, at_seen), reverse=True)
    return value, gradient, after


def _scaled(grads: PyTree, weight: Float[Array, " problems"]) -> PyTree:
    """Each problem's gradient times its weight, in the gradient's dtype."""

    def scale(leaf):
        return leaf * weight.reshape(weight.shape + (1,) * (leaf.ndim - 1)).astype(leaf.dtype)

    return jax.tree.map(scale, grads)
