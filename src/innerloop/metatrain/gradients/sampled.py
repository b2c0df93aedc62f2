"""The first-order meta-gradient of a coordinatewise rule, through a sample of coordinates."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ...inner import InnerLoop, unroll
from ...rules import CoordinatewiseRule
from ...rules._flat import ravel
from ...tasks import Task
from ..objectives import Objective
from .adjoint import Gradient
from .judge import judge, verdict

_SAMPLE = 2**32 - 3  # Folded into a problem's key to choose its coordinates.


def by_sampled_adjoint(
    rule: CoordinatewiseRule,
    task: Task,
    loop: InnerLoop,
    window: int,
    objective: Objective,
    horizon: int,
    *,
    per_leaf: int,
) -> Gradient:
    """An unbiased estimate of `by_adjoint`'s gradient, at a fraction of its cost.

    A coordinatewise rule's meta-gradient is a sum over coordinates, and the slopes of the
    meta-loss are known from the forward pass, so each coordinate can be walked back alone.
    Of every leaf of the parameters, `per_leaf` coordinates are drawn at random (all, where
    the leaf has no more) and weighted to stand for the rest: a large weight matrix, whose
    coordinates are much alike, costs no more than a small one.
    """
    problems = loop.step.shape[0]
    where, weight = jax.vmap(lambda key, step, params: _choose(key, step, params, per_leaf))(
        loop.key, loop.step, loop.params
    )

    def chosen(grads: PyTree) -> Float[Array, "problems sample"]:
        vectors = jax.vmap(lambda tree: ravel(tree, rule.dtype))(grads)
        return jnp.take_along_axis(vectors, where, axis=1)

    def chosen_state(leaf: Float[Array, "features all"]) -> Float[Array, "features sampled"]:
        apart = leaf.reshape(leaf.shape[0], problems, -1)
        return jnp.take_along_axis(apart, where[None], axis=2).reshape(leaf.shape[0], -1)

    judged = judge(task, loop)

    def record(moment, arrival):
        losses, slopes = judged(arrival)
        seen = chosen(moment.grads), jax.tree.map(chosen_state, moment.state)
        return *seen, losses, chosen(slopes)

    after, (gradients, states, losses, slopes) = unroll(rule, task, loop, window, record=record)
    value, weights = jax.value_and_grad(verdict, argnums=1)(objective, losses, loop, horizon)
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)
    # The adjoint of the step taken from θ_t: the sum of the slopes at all later θ.
    slopes = slopes * weights[:, :, None].astype(slopes.dtype) * weight
    pulls = jnp.cumsum(slopes[::-1], axis=0)[::-1].reshape(window, -1)

    def body(carry, at_step):
        pull_state, gradient = carry
        seen, state, pull_step = at_step

        def step(arrays, state):
            return eqx.combine(arrays, static).update_coordinates(seen.reshape(-1), state)

        _, pullback = jax.vjp(step, arrays, state)
        pull_arrays, pull_state = pullback((pull_step, pull_state))
        return (pull_state, jax.tree.map(jnp.add, gradient, pull_arrays)), None

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), states)
    carry = (nothing, jax.tree.map(jnp.zeros_like, arrays))
    (_, gradient), _ = jax.lax.scan(body, carry, (gradients, states, pulls), reverse=True)
    return value, gradient, after


def _choose(
    key: PRNGKeyArray, step: Int[Array, ""], params: PyTree, per_leaf: int
) -> tuple[Int[Array, " sample"], Float[Array, " sample"]]:
    """The coordinates to walk back, and how many each of them stands for."""
    key = jax.random.fold_in(jax.random.fold_in(key, jnp.uint32(_SAMPLE)), step)
    places, weights, start = [], [], 0
    for number, leaf in enumerate(jax.tree.leaves(params)):
        size = math.prod(leaf.shape)
        if size <= per_leaf:
            inside = jnp.arange(size)
        else:
            inside = jax.random.randint(jax.random.fold_in(key, number), (per_leaf,), 0, size)
        places.append(start + inside)
        weights.append(jnp.full(inside.shape, size / max(1, inside.shape[0])))
        start += size
    return jnp.concatenate(places), jnp.concatenate(weights)
