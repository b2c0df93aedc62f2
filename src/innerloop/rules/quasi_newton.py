"""What quasi-Newton rules share: a line search that makes one evaluation a step."""

import abc
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._base import Rule
from ._flat import check_params, ravel, unravel_like

_DECREASE = 1e-4  # Of the decrease that the slope promises, what a step must give.
_STEEP = 0.9  # A slope this part of the first one says that the step was too short.
_LONGER = 3.0
_GROWTH = 4.0  # The most by which a step may be longer than the last one that was accepted.
_MOST_SHORTER = 8  # Shorter steps in a row, after which the curvature is forgotten.
_ROUNDING = 3e-7  # Of the loss: a rise that says nothing.


class QuasiNewtonRule(Rule):
    """A quasi-Newton method whose every update answers one evaluation of loss and gradient.

    θ_t is where a line search stands. Where the loss there is low enough, the search ends: the
    curvature is learned from the step, and the next direction is tried at full length. Where it is
    not, a shorter step from the same origin is tried. A step of this rule thus costs one gradient,
    as that of any other, while the loss may rise for a step. It is for losses without noise, and
    needs their `value`.

    References:
        Nocedal & Wright, "Numerical optimization" (2006), Chapters 3 and 6.
    """

    @abc.abstractmethod
    def first_length(self) -> Float[Array, ""]:
        """The length of the first step, along the gradient."""

    @abc.abstractmethod
    def init_memory(self, size: int) -> PyTree:
        """What is known of the curvature at first, of that number of coordinates."""

    @abc.abstractmethod
    def remember(self, memory: PyTree, step: Array, change: Array) -> PyTree:
        """What is known after a step that changed the gradient; step · change is positive."""

    @abc.abstractmethod
    def direction(self, memory: PyTree, gradient: Array) -> Float[Array, " coordinates"]:
        """The step that the curvature suggests at a gradient."""

    def trusts_first(self) -> bool:
        """Whether the first direction is taken at its full length."""
        return False

    @final
    def init(self, params: PyTree) -> PyTree:
        check_params(params)
        size = sum(jnp.size(leaf) for leaf in jax.tree.leaves(params))
        none, zero = jnp.zeros(size), jnp.zeros(())
        search = {
            "way": none,
            "gradient": jnp.zeros(size),
            "slope": zero,
            "loss": zero,
            "length": zero,
            "boost": jnp.ones(()),
            "shorter": jnp.zeros(()),
            "step": jnp.zeros(()),
        }
        return self.init_memory(size), jax.tree.map(jnp.copy, search)

    @final
    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        memory, search = state
        gradient = ravel(grads, jnp.float32)
        loss = jnp.asarray(value, jnp.float32)
        finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))
        first = search["step"] == 0
        length, slope = search["length"], search["slope"]
        bound = search["loss"] + _DECREASE * length * slope + _ROUNDING * jnp.abs(search["loss"])
        accepted = first | (finite & (loss <= bound))
        onward = self._onward(memory, search, gradient, loss)
        back = self._back(memory, search, loss, finite)
        step, memory, search = jax.tree.map(
            lambda yes, no: jnp.where(accepted, yes, no), onward, back
        )
        return unravel_like(step, grads), (memory, search)

    def _onward(
        self, memory: PyTree, search: dict[str, Array], gradient: Array, loss: Array
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """(step, memory, search) from a place that is accepted."""
        first = search["step"] == 0
        step = search["length"] * search["way"]
        change = gradient - search["gradient"]
        curved = step @ change
        known = ~first & (curved > 1e-6 * jnp.linalg.norm(step) * jnp.linalg.norm(change))
        learned = self.remember(memory, step, change)
        memory = jax.tree.map(lambda new, old: jnp.where(known, new, old), learned, memory)
        steep = ~first & (gradient @ search["way"] < _STEEP * search["slope"])
        boost = jnp.where(steep, jnp.minimum(search["boost"] * _LONGER, 1e4), 1.0)
        norm = jnp.linalg.norm(gradient) + 1e-30
        way = self.direction(memory, gradient)
        slope = gradient @ way
        descends = (slope < 0) & jnp.all(jnp.isfinite(way))
        reach = jnp.where(first, self.first_length(), jnp.linalg.norm(step))
        way = jnp.where(descends, way, -gradient * reach / norm)
        boost = jnp.where(descends, boost, 1.0)
        # A trial far out may meet a loss of any size, which would be what a run ends with.
        wide = jnp.linalg.norm(way) * boost / (_GROWTH * reach + 1e-30)
        way = jnp.where(
            self.trusts_first() & (search["step"] <= 1), way, way / jnp.maximum(wide, 1.0)
        )
        search = {
            "way": way,
            "gradient": gradient,
            "slope": gradient @ way,
            "loss": loss,
            "length": boost,
            "boost": boost,
            "shorter": jnp.zeros(()),
            "step": search["step"] + 1,
        }
        return boost * way, memory, search

    def _back(
        self, memory: PyTree, search: dict[str, Array], loss: Array, finite: Array
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """(step, memory, search) back to a shorter step from the same origin."""
        length, slope, way = search["length"], search["slope"], search["way"]
        rise = jnp.maximum(loss - search["loss"] - slope * length, 1e-30)
        lowest = -slope * length**2 / (2 * rise)  # Of the parabola through what is known.
        shorter = jnp.where(finite, jnp.clip(lowest, 0.1 * length, 0.5 * length), 0.1 * length)
        # A search that finds nothing begins anew, along the gradient.
        lost = search["shorter"] >= _MOST_SHORTER
        gradient = search["gradient"]
        size = jnp.linalg.norm(way) * length / (jnp.linalg.norm(gradient) + 1e-30)
        anew = jnp.where(lost, -gradient * size, way)
        at = jnp.where(lost, 1.0, shorter)
        memory = jax.tree.map(
            lambda none, old: jnp.where(lost, none, old), self.init_memory(way.size), memory
        )
        search = search | {
            "way": anew,
            "slope": gradient @ anew,
            "length": at,
            "boost": jnp.ones(()),
            "shorter": jnp.where(lost, 0.0, search["shorter"] + 1),
            "step": search["step"] + 1,
        }
        return at * anew - length * way, memory, search
