"""Truncated backpropagation through time, the estimator of both papers."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from ...errors import InnerloopError
from ...inner import InnerLoop, start
from ...rules import CoordinatewiseRule, Rule
from ...tasks import Task
from ..objectives import OBJECTIVES
from ._base import MetaGradient
from .adjoint import by_adjoint, by_autodiff
from .sampled import by_sampled_adjoint

_NEXT_PROBLEM = 2**32 - 1  # Folded into a problem's key for its successor's; steps never reach it.


class TruncatedState(eqx.Module):
    """Inner loops in mid-run, and the step at which each makes way for a fresh problem."""

    loop: InnerLoop
    until: Int[Array, " problems"]


@final
class TruncatedBackprop(MetaGradient):
    """Backpropagation through `window` steps at a time of runs of `horizon` steps.

    Section 3 of Andrychowicz et al. (2016). A problem that reaches the horizon, or whose
    loss is no longer finite, makes way for a fresh one. With `stagger` the problems start at
    different points of their horizon, so that every meta-gradient sees early and late steps
    alike instead of each phase in turn. `second_order` keeps the derivatives of ∇f that the
    paper leaves out. `coordinates` bounds how many coordinates of each parameter leaf are
    backpropagated through, drawn at random without bias; it concerns coordinatewise rules
    only, and none to second order. `objective` is a name in `innerloop.metatrain.objectives`.

    Raises `InnerloopError` where the window does not divide the horizon, a size is not
    positive, or the objective has no such name.
    """

    problems: int = eqx.field(static=True, default=128)
    horizon: int = eqx.field(static=True, default=100)
    window: int = eqx.field(static=True, default=20)
    objective: str = eqx.field(static=True, default="uniform")
    stagger: bool = eqx.field(static=True, default=True)
    second_order: bool = eqx.field(static=True, default=False)
    coordinates: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        for name in ("problems", "horizon", "window"):
            if getattr(self, name) < 1:
                raise InnerloopError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.horizon % self.window:
            raise InnerloopError(
                f"The horizon ({self.horizon}) must be a multiple of the window ({self.window})."
            )
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise InnerloopError(f"There is no objective '{self.objective}'; there are {names}.")

    def init(self, rule: Rule, task: Task, *, key: PRNGKeyArray) -> TruncatedState:
        until = jnp.full(self.problems, self.horizon, jnp.int32)
        if self.stagger:
            phase = jnp.arange(self.problems, dtype=jnp.int32) % (self.horizon // self.window)
            until = until - self.window * phase
        return TruncatedState(start(rule, task, jax.random.split(key, self.problems)), until)

    def estimate(
        self, rule: Rule, task: Task, state: TruncatedState
    ) -> tuple[Rule, TruncatedState, dict[str, Any]]:
        arguments = (rule, task, state.loop, self.window, OBJECTIVES[self.objective], self.horizon)
        if self.second_order:
            value, gradient, loop = by_autodiff(*arguments, second_order=True)
        elif self.coordinates is not None and isinstance(rule, CoordinatewiseRule):
            value, gradient, loop = by_sampled_adjoint(
                rule, *arguments[1:], per_leaf=self.coordinates
            )
        else:
            value, gradient, loop = by_adjoint(*arguments)
        finite = jnp.isfinite(loop.loss)
        done = (loop.step >= state.until) | ~finite
        metrics = {"meta_loss": value, "diverged": jnp.mean(~finite)}
        loop = jax.lax.cond(jnp.any(done), lambda: _replace(done, rule, task, loop), lambda: loop)
        return gradient, TruncatedState(loop, jnp.where(done, self.horizon, state.until)), metrics


def _replace(done: Bool[Array, " problems"], rule: Rule, task: Task, loop: InnerLoop) -> InnerLoop:
    """`loop` with fresh problems in place of those that are done."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, jnp.uint32(_NEXT_PROBLEM)))(loop.key)
    fresh = start(rule, task, keys)

    def choose(flag, new, old):
        return jax.tree.map(
            lambda new, old: jax.lax.select(jnp.broadcast_to(flag, new.shape), new, old), new, old
        )

    return jax.vmap(choose)(done, fresh, loop)
