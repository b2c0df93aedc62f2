"""Truncated backpropagation through time, the estimator of both papers."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from ...errors import InnerloopError
from ...inner import InnerLoop, start
from ...rules import Rule
from ...tasks import Task
from ..objectives import OBJECTIVES
from ._base import MetaGradient
from .adjoint import Gradient, by_adjoint, by_autodiff
from .coordinatewise import by_coordinates, is_coordinatewise
from .groups import problems_at_once

_HORIZON = 2**32 - 5  # Folded into a problem's key for the length of its run.
_NEXT_PROBLEM = 2**32 - 1  # Folded into a problem's key for its successor's; steps never reach it.


class TruncatedState(eqx.Module):
    """Inner loops in mid-run, and the step at which each makes way for a fresh problem."""

    loop: InnerLoop
    until: Int[Array, " problems"]


@final
class TruncatedBackprop(MetaGradient):
    """Backpropagation through `window` steps at a time of runs of `horizon` steps.

    Section 3 of Andrychowicz et al. (2016). A problem that reaches the horizon, or whose
    loss is no longer finite, makes way for a fresh one. With `shortest`, every problem's horizon
    is drawn anew, log-uniformly from `shortest` to `horizon`, so that one rule learns short and
    long runs (Wichrowska et al. 2017 draw them from a heavy tail too). With `stagger` the
    problems start at different points of their horizon, so that every meta-gradient sees early
    and late steps alike instead of each phase in turn. `second_order` keeps the derivatives of
    ∇f that the paper leaves out. `coordinates` bounds how many coordinates of each parameter
    leaf are backpropagated through, drawn at random without bias; it concerns coordinatewise
    rules only, and none to second order. `clip_each` is the largest norm of one problem's
    meta-gradient: where inner loops are at the edge of chaos, a few problems would otherwise
    drown all others. `objective` is a name in `innerloop.metatrain.objectives`.

    Raises `InnerloopError` where the window does not divide the horizon, `shortest` is not
    between the two, a size is not positive, or the objective has no such name.
    """

    problems: int = eqx.field(static=True, default=128)
    horizon: int = eqx.field(static=True, default=100)
    shortest: int | None = eqx.field(static=True, default=None)
    window: int = eqx.field(static=True, default=20)
    objective: str = eqx.field(static=True, default="uniform")
    stagger: bool = eqx.field(static=True, default=True)
    second_order: bool = eqx.field(static=True, default=False)
    coordinates: int | None = eqx.field(static=True, default=None)
    clip_each: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("problems", "horizon", "window"):
            if getattr(self, name) < 1:
                raise InnerloopError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        shortest = self.horizon if self.shortest is None else self.shortest
        if not self.window <= shortest <= self.horizon:
            raise InnerloopError(
                f"shortest is {shortest}; it must be from the window ({self.window}) to the "
                f"horizon ({self.horizon})."
            )
        if self.horizon % self.window:
            raise InnerloopError(
                f"The horizon ({self.horizon}) must be a multiple of the window ({self.window})."
            )
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise InnerloopError(f"There is no objective '{self.objective}'; there are {names}.")

    def init(self, rule: Rule, task: Task, *, key: PRNGKeyArray) -> TruncatedState:
        loop = start(rule, task, jax.random.split(key, self.problems))
        until = self._horizons(loop.key)
        if self.stagger:
            windows = until // self.window
            phase = jnp.arange(self.problems, dtype=jnp.int32) % windows
            until = until - self.window * phase
        return TruncatedState(loop, until)

    def estimate(
        self, rule: Rule, task: Task, state: TruncatedState
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

    def _horizons(self, keys: Key[Array, " problems"]) -> Int[Array, " problems"]:
        """How long each problem is run, given its own key."""
        if self.shortest is None:
            return jnp.full(keys.shape, self.horizon, jnp.int32)
        shortest, longest = self.shortest // self.window, self.horizon // self.window

        def one(key):
            draw = jax.random.uniform(jax.random.fold_in(key, jnp.uint32(_HORIZON)))
            # Log-uniform in whole windows, from `shortest` to `horizon` with both ends in.
            windows = shortest * ((longest + 1) / shortest) ** draw
            return self.window * jnp.minimum(jnp.floor(windows), longest).astype(jnp.int32)

        return jax.vmap(one)(keys)

    def _window(self, rule: Rule, task: Task, loop: InnerLoop) -> Gradient:
        arguments = (task, loop, self.window, OBJECTIVES[self.objective], self.horizon)
        if self.second_order:
            return by_autodiff(rule, *arguments, second_order=True)
        if is_coordinatewise(rule):
            return by_coordinates(rule, *arguments, per_leaf=self.coordinates)
        return by_adjoint(rule, *arguments)

    def _in_groups(self, rule: Rule, task: Task, loop: InnerLoop) -> Gradient:
        """`_window` for a group of problems after another, averaged."""
        problems = len(loop.step)
        coordinates = sum(leaf[0].size for leaf in jax.tree.leaves(loop.params))
        size = 1 if task.one_by_one else problems_at_once(problems, coordinates)
        if size == problems:
            return self._window(rule, task, loop)
        split = jax.tree.map(lambda x: x.reshape(problems // size, size, *x.shape[1:]), loop)
        values, gradients, split = jax.lax.map(lambda loop: self._window(rule, task, loop), split)
        loop = jax.tree.map(lambda x: x.reshape(problems, *x.shape[2:]), split)
        return jnp.mean(values), jax.tree.map(lambda g: jnp.mean(g, axis=0), gradients), loop

    def _apart(self, rule: Rule, task: Task, loop: InnerLoop) -> tuple[Gradient, Float[Array, ""]]:
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


def _replace(done: Bool[Array, " problems"], rule: Rule, task: Task, loop: InnerLoop) -> InnerLoop:
    """`loop` with fresh problems in place of those that are done."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(_NEXT_PROBLEM)))(loop.key)
    fresh = start(rule, task, keys)

    def choose(flag, new, old):
        return jax.tree.map(
            lambda new, old: jax.lax.select(jnp.broadcast_to(flag, new.shape), new, old), new, old
        )

    return jax.vmap(choose)(done, fresh, loop)
