"""The first-order meta-gradient of a coordinatewise rule, a group of coordinates at a time."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ... import keys
from ...inner import InnerLoop, unroll
from ...kernels.chunks import coordinate_chunk
from ...rules import CoordinatewiseRule, MultiRule, Rule
from ...rules._flat import ravel
from ...rules.multi import parts_of
from ...tasks import TaskFamily
from ..objectives import Objective
from ._adjoint import Gradient
from ._judge import judge, verdict


def is_coordinatewise(rule: Rule) -> bool:
    """Whether `by_coordinates` is for this rule: a coordinatewise one, or several."""
    return all(isinstance(part, CoordinatewiseRule) for part in parts_of(rule))


def by_coordinates(
    rule: Rule,
    task: TaskFamily,
    loop: InnerLoop,
    window: int,
    objective: Objective,
    horizon: int,
    *,
    per_leaf: int | None = None,
) -> Gradient:
    """`by_adjoint`'s gradient, or an unbiased estimate of it at a fraction of its cost.

    A coordinatewise rule's meta-gradient is a sum over coordinates, and the slopes of the
    meta-loss are known from the forward pass, so each coordinate can be walked back alone.
    They are, a group at a time, so that the walk stays in the caches. With `per_leaf`, that
    number of coordinates of every leaf of the parameters is drawn at random (all, where the leaf
    has no more) and weighted to stand for the rest: a large weight matrix, whose coordinates are
    much alike, costs no more than a small one. The parts of a `MultiRule` are walked back each by
    itself.
    """
    judged = judge(task, loop)
    walks = _parts(rule, loop.params, lambda rule, params: _Walk(rule, loop, params, per_leaf))

    def record(moment, arrival):
        losses, slopes = judged(arrival)
        seen = {
            name: (
                walk.coordinates(_part(rule, moment.grads, name)),
                walk.state(_part(rule, moment.state, name)),
                walk.coordinates(_part(rule, slopes, name)),
            )
            for name, walk in walks.items()
        }
        return losses, seen

    after, (losses, seen) = unroll(rule, task, loop, window, record=record)
    value, weights = jax.value_and_grad(verdict, argnums=1)(objective, losses, loop, horizon)
    gradients = {name: walk.back(*seen[name], weights) for name, walk in walks.items()}
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


class _Walk:
    """The coordinates of one rule's parameters that are walked back: a sample, or all."""

    def __init__(
        self, rule: CoordinatewiseRule, loop: InnerLoop, params: PyTree, per_leaf: int | None
    ):
        self.rule = rule
        self.sample = None
        if per_leaf is not None:
            self.sample = jax.vmap(lambda key, step, params: _choose(key, step, params, per_leaf))(
                loop.key, loop.step, params
            )

    def coordinates(self, grads: PyTree) -> Float[Array, "problems walked"]:
        vectors = jax.vmap(lambda tree: ravel(tree, self.rule.dtype))(grads)
        if self.sample is None:
            return vectors
        return jnp.take_along_axis(vectors, self.sample[0], axis=1)

    def state(self, state: PyTree) -> PyTree:
        """Of packed leaves [features, all], the columns [features, problems · walked]."""
        if self.sample is None:
            return state
        where, _ = self.sample

        def chosen(leaf: Float[Array, "features all"]) -> Float[Array, "features walked"]:
            apart = leaf.reshape(leaf.shape[0], len(where), -1)
            taken = jnp.take_along_axis(apart, where[None], axis=2)
            return taken.reshape(leaf.shape[0], -1)

        return jax.tree.map(chosen, state)

    def back(
        self,
        gradients: Float[Array, "window problems walked"],
        states: PyTree,
        slopes: Float[Array, "window problems walked"],
        weights: Float[Array, "window problems"],
    ) -> Rule:
        """The gradient of Σ weights · losses, whose slopes are `slopes`, in the rule."""
        slopes = slopes * weights[:, :, None].astype(slopes.dtype)
        if self.sample is not None:
            slopes = slopes * self.sample[1]
        slopes = slopes.reshape(len(slopes), -1)
        gradients = gradients.reshape(slopes.shape)
        arrays, static = eqx.partition(self.rule, eqx.is_inexact_array)

        walked = slopes.shape[1]
        size = coordinate_chunk(walked)

        def walk(first, gradient):
            """Adds what `size` coordinates from the `first` on give, where they have a pull."""

            def columns(leaf):
                return jax.lax.dynamic_slice_in_dim(leaf, first, size, axis=-1)

            def step_back(carry, at_step):
                pull_step, pull_state, gradient = carry
                seen, state, slope = jax.tree.map(columns, at_step)
                # The adjoint of the step from θ_t is the sum of the slopes at all later θ.
                pull_step = pull_step + slope

                def step(arrays, state):
                    return eqx.combine(arrays, static).update_coordinates(seen, state)

                _, pullback = jax.vjp(step, arrays, state)
                pull_arrays, pull_state = pullback((pull_step, pull_state))
                gradient = jax.tree.map(jnp.add, gradient, pull_arrays)
                return (pull_step, pull_state, gradient), None

            nothing = jax.tree.map(
                lambda leaf: jnp.zeros((leaf.shape[1], size), leaf.dtype), states
            )
            carry = (jnp.zeros(size, slopes.dtype), nothing, gradient)
            steps = (gradients, states, slopes)
            return jax.lax.scan(step_back, carry, steps, reverse=True)[0][2]

        nothing = jax.tree.map(jnp.zeros_like, arrays)
        whole = walked // size
        gradient = jax.lax.fori_loop(0, whole, lambda n, so_far: walk(n * size, so_far), nothing)
        if walked % size == 0:
            return gradient
        # The last group begins early enough to be whole: what it has a second time pulls no more.
        slopes = slopes.at[:, : whole * size].set(0)
        return walk(walked - size, gradient)


def _choose(
    key: PRNGKeyArray, step: Int[Array, ""], params: PyTree, per_leaf: int
) -> tuple[Int[Array, " sample"], Float[Array, " sample"]]:
    """The coordinates to walk back, and how many each of them stands for."""
    key = keys.step(keys.coordinate_sample(key), step)
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
