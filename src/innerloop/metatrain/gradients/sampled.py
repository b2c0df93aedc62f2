"""The first-order meta-gradient of a coordinatewise rule, through a sample of coordinates."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ...inner import InnerLoop, unroll
from ...rules import CoordinatewiseRule, MultiRule, Rule
from ...rules._flat import ravel
from ...tasks import Task
from ..objectives import Objective
from .adjoint import Gradient
from .judge import judge, verdict

_SAMPLE = 2**32 - 3  # Folded into a problem's key to choose its coordinates.


def can_be_sampled(rule: Rule) -> bool:
    """Whether `by_sampled_adjoint` is for this rule: a coordinatewise one, or several."""
    parts = rule.rules.values() if isinstance(rule, MultiRule) else [rule]
    return all(isinstance(part, CoordinatewiseRule) for part in parts)


def by_sampled_adjoint(
    rule: Rule,
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
    coordinates are much alike, costs no more than a small one. The parts of a `MultiRule`
    are walked back each by itself.
    """
    judged = judge(task, loop)
    samples = _parts(rule, loop.params, lambda rule, params: _Sample(rule, loop, params, per_leaf))

    def record(moment, arrival):
        losses, slopes = judged(arrival)
        seen = {
            name: (
                sample.coordinates(_part(rule, moment.grads, name)),
                sample.state(_part(rule, moment.state, name)),
                sample.coordinates(_part(rule, slopes, name)),
            )
            for name, sample in samples.items()
        }
        return losses, seen

    after, (losses, seen) = unroll(rule, task, loop, window, record=record)
    value, weights = jax.value_and_grad(verdict, argnums=1)(objective, losses, loop, horizon)
    gradients = {name: sample.walk_back(*seen[name], weights) for name, sample in samples.items()}
    if isinstance(rule, MultiRule):
        return value, MultiRule(gradients), after
    return value, gradients[""], after


def _parts(rule: Rule, tree: PyTree, function: Callable[..., Any]) -> dict[str, Any]:
    """`function(rule, tree)` for each part of a `MultiRule`, or for the rule itself as ""."""
    if isinstance(rule, MultiRule):
        return {name: function(part, tree[name]) for name, part in rule.rules.items()}
    return {"": function(rule, tree)}


def _part(rule: Rule, tree: PyTree, name: str) -> PyTree:
    return tree[name] if isinstance(rule, MultiRule) else tree


class _Sample:
    """The coordinates of one rule's parameters that are walked back."""

    def __init__(self, rule: CoordinatewiseRule, loop: InnerLoop, params: PyTree, per_leaf: int):
        self.rule = rule
        self.where, self.weight = jax.vmap(
            lambda key, step, params: _choose(key, step, params, per_leaf)
        )(loop.key, loop.step, params)

    def coordinates(self, grads: PyTree) -> Float[Array, "problems sample"]:
        vectors = jax.vmap(lambda tree: ravel(tree, self.rule.dtype))(grads)
        return jnp.take_along_axis(vectors, self.where, axis=1)

    def state(self, state: PyTree) -> PyTree:
        """Of packed leaves [features, all], the columns [features, problems · sample]."""

        def chosen(leaf: Float[Array, "features all"]) -> Float[Array, "features sampled"]:
            apart = leaf.reshape(leaf.shape[0], len(self.where), -1)
            taken = jnp.take_along_axis(apart, self.where[None], axis=2)
            return taken.reshape(leaf.shape[0], -1)

        return jax.tree.map(chosen, state)

    def walk_back(
        self,
        gradients: Float[Array, "window problems sample"],
        states: PyTree,
        slopes: Float[Array, "window problems sample"],
        weights: Float[Array, "window problems"],
    ) -> Rule:
        arrays, static = eqx.partition(self.rule, eqx.is_inexact_array)
        # The adjoint of the step taken from θ_t: the sum of the slopes at all later θ.
        slopes = slopes * weights[:, :, None].astype(slopes.dtype) * self.weight
        pulls = jnp.cumsum(slopes[::-1], axis=0)[::-1].reshape(len(slopes), -1)

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
        return gradient


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
