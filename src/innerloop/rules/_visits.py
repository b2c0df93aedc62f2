"""What rules share whose first steps visit places; another rule goes on from the best of them."""

import abc
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._base import Rule
from ._flat import check_params, ravel, unravel_like


class Place(NamedTuple):
    """Where a run has been: a loss, with its parameters and their gradient, raveled."""

    value: Float[Array, ""]
    params: Float[Array, " coordinates"]
    grads: Float[Array, " coordinates"]


class VisitState(NamedTuple):
    """What was seen so far, and the state of the rule that goes on."""

    rule: PyTree
    seen: Float[Array, "visits features"]
    """What is kept of the gradients at the places so far; 0 where there was none yet."""
    step: Float[Array, ""]
    best: Place
    """The place with the lowest loss before this one; its loss is infinite where there is none."""


def _where(condition: Bool[Array, ""], one: Place, other: Place) -> Place:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


class VisitingRule(Rule):
    """A rule whose first steps are visits; another rule goes on from the place of lowest loss.

    A visit costs a gradient, like any other step. The run's own start is one of the places. Where
    no losses are told, the other rule begins at the last place.
    """

    rule: Rule

    @property
    @abc.abstractmethod
    def visits(self) -> int:
        """How many of the first steps are visits."""

    @property
    @abc.abstractmethod
    def features(self) -> int:
        """Numbers that are kept of a gradient."""

    @property
    @abc.abstractmethod
    def coordinates(self) -> int:
        """Numbers in a problem's parameters."""

    @abc.abstractmethod
    def look(self, gradient: Float[Array, " coordinates"]) -> Float[Array, " features"]:
        """What is kept of the gradient at a place.

        Args:
            gradient: ∇f there.
        """

    @abc.abstractmethod
    def place(
        self, seen: Float[Array, "visits features"], now: Bool[Array, " visits"]
    ) -> Float[Array, " coordinates"]:
        """Where the next visit is.

        Args:
            seen: What is kept of the gradients so far.
            now: True for the visit that is made, False for the others.
        """

    def init(self, params: PyTree) -> VisitState:
        check_params(params)
        seen = jnp.zeros((self.visits, self.features))
        nowhere = jnp.zeros(self.coordinates)
        best = Place(jnp.asarray(jnp.inf), nowhere, nowhere)
        return VisitState(self.rule.init(params), seen, jnp.zeros(()), best)

    def update(
        self,
        grads: PyTree,
        state: VisitState,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, VisitState]:
        visiting = state.step < self.visits

        def visit() -> tuple[PyTree, VisitState]:
            return self.visit(grads, state, params, value)

        def go_on() -> tuple[PyTree, VisitState]:
            return self.go_on(grads, state, params, value)

        if isinstance(visiting, jax.core.Tracer):
            return jax.lax.cond(visiting, visit, go_on)
        # Outside `jax.jit`, a condition would compile both functions anew at each step.
        return visit() if visiting else go_on()

    def visit(
        self, grads: PyTree, state: VisitState, params: PyTree, value: Float[Array, ""] | None
    ) -> tuple[PyTree, VisitState]:
        """The update that leads to the next place, and the state after it."""
        here, gradient = ravel(params, jnp.float32), ravel(grads, jnp.float32)
        now = jnp.arange(self.visits) == state.step  # Faster than an index, under vmap.
        seen = jnp.where(now[:, None], self.look(gradient), state.seen)
        best = state.best
        if value is not None:
            now_best = Place(value.astype(jnp.float32), here, gradient)
            best = _where(now_best.value < best.value, now_best, best)
        way = self.place(seen, now) - here
        return unravel_like(way, grads), VisitState(state.rule, seen, state.step + 1, best)

    def go_on(
        self, grads: PyTree, state: VisitState, params: PyTree, value: Float[Array, ""] | None
    ) -> tuple[PyTree, VisitState]:
        """The other rule's update, and the state after it: at first from the best place."""
        best = state.best
        if value is None:
            updates, after = self.rule.update(grads, state.rule, params, value=None)
            return updates, VisitState(after, state.seen, state.step, best)
        back = jnp.isfinite(best.value) & ~(value <= best.value)
        here, gradient = ravel(params, jnp.float32), ravel(grads, jnp.float32)
        begin = _where(back, best, Place(value.astype(jnp.float32), here, gradient))
        updates, after = self.rule.update(
            unravel_like(begin.grads, grads),
            state.rule,
            unravel_like(begin.params, params),
            value=begin.value.astype(value.dtype),
        )
        way = unravel_like(begin.params - here, updates)
        updates = jax.tree.map(lambda update, to: update + to.astype(update.dtype), updates, way)
        done = best._replace(value=jnp.full_like(best.value, jnp.inf))
        return updates, VisitState(after, state.seen, state.step, done)
