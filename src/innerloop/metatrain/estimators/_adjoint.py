"""The meta-gradient of one window of steps, two ways: by hand-ordered adjoint, or plainly."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ...inner import InnerLoop, unroll
from ...rules import Rule
from ...rules._batch import batched
from ...tasks import TaskFamily
from ..objectives import Objective
from ._judge import judge, verdict

Gradient = tuple[Float[Array, ""], Rule, InnerLoop]


def by_autodiff(
    rule: Rule,
    task: TaskFamily,
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
        judged = judge(task, loop)
        after, losses = unroll(
            eqx.combine(arrays, static),
            task,
            loop,
            window,
            second_order=second_order,
            record=lambda moment, arrival: judged(arrival)[0],
        )
        return verdict(objective, losses, loop, horizon), after

    (value, after), gradient = jax.value_and_grad(meta_loss, has_aux=True)(arrays)
    return value, gradient, after


def by_adjoint(
    rule: Rule, task: TaskFamily, loop: InnerLoop, window: int, objective: Objective, horizon: int
) -> Gradient:
    """The first-order gradient of `by_autodiff`, with no second pass through the problem.

    With the dashed edges of Andrychowicz et al. (2016, Figure 2) cut, θ_t depends on an
    earlier update by addition and through the rule alone, so the adjoint of an update is a
    running sum of slopes w_t ∇f(θ_t) that the forward pass has already computed. The
    pass backward walks the rule, recomputing one step of it at a time: what is kept of each
    step is what the rule saw, never the problem's activations.
    """
    judged = judge(task, loop)
    after, (moments, (losses, slopes)) = unroll(
        rule, task, loop, window, record=lambda moment, arrival: (moment, judged(arrival))
    )
    value, weights = jax.value_and_grad(verdict, argnums=1)(objective, losses, loop, horizon)
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)

    def body(carry, at_step):
        pull_params, pull_state, gradient = carry
        moment, slope, weight = at_step
        pull_params = jax.tree.map(jnp.add, pull_params, _scaled(slope, weight))

        def step(arrays, state, params):
            rules = batched(eqx.combine(arrays, static))
            return rules.update(moment.grads, state, params, moment.loss)

        _, pullback = jax.vjp(step, arrays, moment.state, moment.params)
        pull_arrays, pull_state, through_rule = pullback((pull_params, pull_state))
        pull_params = jax.tree.map(jnp.add, pull_params, through_rule)
        return (pull_params, pull_state, jax.tree.map(jnp.add, gradient, pull_arrays)), None

    # Step t leads from what moments[t] saw to where losses[t] and slopes[t] were taken.
    nothing = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), (moments.params, moments.state)
    )
    carry = (*nothing, jax.tree.map(jnp.zeros_like, arrays))
    steps = (moments, slopes, weights)
    (_, _, gradient), _ = jax.lax.scan(body, carry, steps, reverse=True)
    return value, gradient, after


def _scaled(slope: PyTree, weight: Float[Array, " problems"]) -> PyTree:
    """Each problem's slope times its weight, in the slope's dtype."""

    def scale(leaf):
        return leaf * weight.reshape(weight.shape + (1,) * (leaf.ndim - 1)).astype(leaf.dtype)

    return jax.tree.map(scale, slope)
