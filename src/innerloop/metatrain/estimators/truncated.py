"""Truncated backpropagation through time, the estimator of both papers."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from ... import keys
from ...inner import InnerLoop
from ...kernels.chunks import problem_chunk
from ...registry import register
from ...rules import Rule
from ...runtime.settings import Count, Positive, check
from ...tasks import TaskFamily
from ..objectives import OBJECTIVES, ObjectiveName
from ._adjoint import Gradient, by_adjoint, by_autodiff
from ._base import MetaGradient
from ._coordinatewise import by_coordinates, is_coordinatewise
from ._horizons import check_truncation

_CACHED_WEIGHTS = 1 << 16
"""Weights of a rule up to which a group's meta-gradient stays in a core's own cache."""


class TruncatedState(eqx.Module):
    """Inner loops in mid-run, and the step at which each makes way for a fresh problem."""

    loop: InnerLoop
    until: Int[Array, " problems"]


@register("truncated-backprop")
@final
class TruncatedBackprop(MetaGradient):
    """Backpropagation through `truncation` steps at a time of runs of `horizon` steps.

    A problem that reaches its horizon, or whose loss is no longer finite, makes way for a fresh
    one.

    Args:
        meta_batch_size: Problems worked on at once, 1 or more.
        horizon: Inner steps before a problem makes way for a fresh one.
        min_horizon: Draw every problem's horizon log-uniformly from this to `horizon`: one rule
            then learns short and long runs (Wichrowska et al. 2017). None to keep it fixed.
        truncation: Inner steps backpropagated through at a time; it divides the horizon.
        objective: The loss weights w_t: uniform, linear in t, only the last step, or the mean
            log loss.
        stagger: Start the problems at different points of their horizon. Every meta-gradient then
            sees early and late steps alike.
        second_order: Keep the derivatives of ∇f that the paper leaves out.
        coordinates: Backpropagate through at most this many coordinates of each parameter leaf,
            drawn at random and weighted without bias; None for all. It concerns coordinatewise
            rules at first order.
        clip_each: The largest norm of one problem's meta-gradient; None for no limit. Where inner
            loops are at the edge of chaos, a few problems would otherwise drown all others.

    Raises:
        SettingsError: A setting has another type or is out of its range, the truncation does not
            divide the horizon, or `min_horizon` is not between the two.

    Example:
        >>> import innerloop
        >>> innerloop.TruncatedBackprop(horizon=60, truncation=10).meta_batch_size
        128

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Sections 2 and 3; Wichrowska et al., "Learned optimizers that scale and
        generalize" (2017, arXiv:1703.04813).
    """

    meta_batch_size: Count = eqx.field(static=True, default=128)
    horizon: Count = eqx.field(static=True, default=100)
    min_horizon: Count | None = eqx.field(static=True, default=None)
    truncation: Count = eqx.field(static=True, default=20)
    objective: ObjectiveName = eqx.field(static=True, default="uniform")
    stagger: bool = eqx.field(static=True, default=True)
    second_order: bool = eqx.field(static=True, default=False)
    coordinates: Count | None = eqx.field(static=True, default=None)
    clip_each: Positive | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check(self)
        check_truncation(self.horizon, self.truncation, self.min_horizon)

    def init(self, rule: Rule, task: TaskFamily, *, key: PRNGKeyArray) -> TruncatedState:
        loop = InnerLoop.init(rule, task, jax.random.split(key, self.meta_batch_size))
        until = self._horizons(loop.key)
        if self.stagger:
            windows = until // self.truncation
            phase = jnp.arange(self.meta_batch_size, dtype=jnp.int32) % windows
            until = until - self.truncation * phase
        return TruncatedState(loop, until)

    def estimate(
        self, rule: Rule, task: TaskFamily, state: TruncatedState
    ) -> tuple[Rule, TruncatedState, dict[str, Any]]:
        if self.clip_each is None:
            value, gradient, loop = self._in_groups(rule, task, state.loop)
            counted = jnp.ones(())
        else:
            (value, gradient, loop), counted = self._apart(rule, task, state.loop)
        finite = jnp.isfinite(loop.loss)
        done = (loop.step >= state.until) | ~finite
        metrics = {"meta_loss": value, "counted": counted, "diverged": jnp.mean(~finite)}
        loop = jax.lax.cond(jnp.any(done), lambda: _replace(done, rule, task, loop), lambda: loop)
        until = jnp.where(done, self._horizons(loop.key), state.until)
        return gradient, TruncatedState(loop, until), metrics

    def _horizons(self, own: Key[Array, " problems"]) -> Int[Array, " problems"]:
        """How long each problem is run, given its own key."""
        if self.min_horizon is None:
            return jnp.full(own.shape, self.horizon, jnp.int32)
        shortest, longest = self.min_horizon // self.truncation, self.horizon // self.truncation

        def one(key):
            draw = jax.random.uniform(keys.horizon(key))
            # Log-uniform in whole truncations, from `min_horizon` to `horizon` with both ends in.
            windows = shortest * ((longest + 1) / shortest) ** draw
            return self.truncation * jnp.minimum(jnp.floor(windows), longest).astype(jnp.int32)

        return jax.vmap(one)(own)

    def _window(self, rule: Rule, task: TaskFamily, loop: InnerLoop) -> Gradient:
        arguments = (task, loop, self.truncation, OBJECTIVES[self.objective], self.horizon)
        if self.second_order:
            return by_autodiff(rule, *arguments, second_order=True)
        if is_coordinatewise(rule):
            return by_coordinates(rule, *arguments, per_leaf=self.coordinates)
        return by_adjoint(rule, *arguments)

    def _in_groups(self, rule: Rule, task: TaskFamily, loop: InnerLoop) -> Gradient:
        """`_window` for a group of problems after another, averaged."""
        problems = len(loop.step)
        coordinates = sum(leaf[0].size for leaf in jax.tree.leaves(loop.params))
        size = 1 if task.one_by_one else problem_chunk(problems, coordinates)
        weights = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(rule, eqx.is_array)))
        if weights > _CACHED_WEIGHTS and not task.one_by_one:
            size = problems  # Every group would have a gradient of that size.
        if size == problems:
            return self._window(rule, task, loop)
        split = jax.tree.map(lambda x: x.reshape(problems // size, size, *x.shape[1:]), loop)
        values, gradients, split = jax.lax.map(lambda loop: self._window(rule, task, loop), split)
        loop = jax.tree.map(lambda x: x.reshape(problems, *x.shape[2:]), split)
        return jnp.mean(values), jax.tree.map(lambda g: jnp.mean(g, axis=0), gradients), loop

    def _apart(
        self, rule: Rule, task: TaskFamily, loop: InnerLoop
    ) -> tuple[Gradient, Float[Array, ""]]:
        """`_window` for each problem by itself, with gradients of at most `clip_each`, averaged.

        A problem whose meta-loss or gradient is not finite says nothing of the way to go, and
        its gradient counts as 0. The second result is the share of the others, whose mean the
        meta-loss is: NaN where there are none.
        """

        def one(loop):
            value, gradient, loop = self._window(rule, task, jax.tree.map(lambda x: x[None], loop))
            norm = optax.tree.norm(gradient)
            limit = jnp.inf if self.clip_each is None else self.clip_each
            factor = jnp.where(jnp.isfinite(norm), jnp.minimum(1.0, limit / norm), 0.0)
            gradient = jax.tree.map(lambda g: jnp.where(factor > 0, factor * g, 0.0), gradient)
            counted = jnp.isfinite(value) & jnp.isfinite(norm)
            return value, gradient, jax.tree.map(lambda x: x[0], loop), counted

        # Each to the window's end, and not step by step in turns: it stays in the caches.
        each = jax.lax.map(one, loop) if task.one_by_one else jax.vmap(one)(loop)
        values, gradients, loop, counted = each
        value = jnp.sum(jnp.where(counted, values, 0.0)) / jnp.sum(counted)
        gradient = jax.tree.map(lambda g: jnp.mean(g, axis=0), gradients)
        return (value, gradient, loop), jnp.mean(counted)


def _replace(
    done: Bool[Array, " problems"], rule: Rule, task: TaskFamily, loop: InnerLoop
) -> InnerLoop:
    """`loop` with fresh problems in place of those that are done."""
    fresh = InnerLoop.init(rule, task, jax.vmap(keys.next_problem)(loop.key))

    def choose(flag, new, old):
        return jax.tree.map(
            lambda new, old: jax.lax.select(jnp.broadcast_to(flag, new.shape), new, old), new, old
        )

    return jax.vmap(choose)(done, fresh, loop)
