"""What quasi-Newton rules share: a line search that makes one evaluation a step."""

import abc
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._base import Rule
from ._flat import check_grads, check_params, ravel, unravel_like
from .check import check_given

_DECREASE = 1e-4  # Of the decrease that the slope promises, what a step must give.
_STEEP = 0.9  # A slope this part of the first one says that the step was too short.
_LONGER = 3.0
_GROWTH = 2.0  # The most by which a step may be longer than the last one that was accepted.
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
        search = Search(jnp.zeros(size), jnp.zeros(size), *(jnp.zeros(()) for _ in range(6)))
        return self.init_memory(size), _pack(search)

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
        check_given(type(self).__name__, value=value)
        memory, search = state[0], _unpack(state[1])
        check_grads(grads, search.gradient.size)
        gradient = ravel(grads, jnp.float32)
        loss = jnp.asarray(value, jnp.float32)
        change = gradient - search.gradient
        # All inner products at once: small problems pay for each operation.
        vectors = jnp.stack([search.way, change, gradient, search.gradient])
        products = vectors @ vectors.T
        finite = jnp.isfinite(loss) & jnp.isfinite(products[2, 2])
        bound = search.loss + _DECREASE * search.length * search.slope
        low = loss <= bound + _ROUNDING * jnp.abs(search.loss)
        accepted = (search.step == 0) | (finite & low)
        onward = self._onward(memory, search, gradient, loss, products)
        back = self._back(memory, search, loss, finite, products)
        step, memory, search = jax.tree.map(
            lambda yes, no: jnp.where(accepted, yes, no), onward, back
        )
        return unravel_like(step, grads), (memory, _pack(search))

    def _onward(
        self, memory: PyTree, search: "Search", gradient: Array, loss: Array, products: Array
    ) -> tuple[Array, PyTree, "Search"]:
        """(step, memory, search) from a place that is accepted."""
        first, length = search.step == 0, search.length
        curved, reach = length * products[0, 1], length * jnp.sqrt(products[0, 0])
        known = ~first & (curved > 1e-6 * reach * jnp.sqrt(products[1, 1]))
        learned = self.remember(memory, length * search.way, gradient - search.gradient)
        memory = jax.tree.map(lambda new, old: jnp.where(known, new, old), learned, memory)
        steep = ~first & (products[0, 2] < _STEEP * search.slope)
        boost = jnp.where(steep, jnp.minimum(jnp.maximum(search.boost, 1.0) * _LONGER, 1e4), 1.0)
        way = self.direction(memory, gradient)
        slope, size = jnp.stack([gradient, way]) @ way
        descends = (slope < 0) & jnp.isfinite(size)
        reach = jnp.where(first, self.first_length(), reach)
        norm = jnp.sqrt(products[2, 2]) + 1e-30
        boost = jnp.where(descends, boost, 1.0)
        # A trial far out may meet a loss of any size, which would be what a run ends with.
        free = (search.step <= 1) & self.trusts_first()
        wide = jnp.where(free, 1.0, jnp.sqrt(size) * boost / (_GROWTH * reach + 1e-30))
        shrunk = 1 / jnp.maximum(wide, 1.0)
        way = jnp.where(descends, shrunk * way, -gradient * (reach / norm))
        slope = jnp.where(descends, shrunk * slope, -reach * norm)
        zero = jnp.zeros(())
        onward = Search(way, gradient, slope, loss, boost, boost, zero, search.step + 1)
        return boost * way, memory, onward

    def _back(
        self, memory: PyTree, search: "Search", loss: Array, finite: Array, products: Array
    ) -> tuple[Array, PyTree, "Search"]:
        """(step, memory, search) back to a shorter step from the same origin."""
        length, slope = search.length, search.slope
        rise = jnp.maximum(loss - search.loss - slope * length, 1e-30)
        lowest = -slope * length**2 / (2 * rise)  # Of the parabola through what is known.
        shorter = jnp.where(finite, jnp.clip(lowest, 0.1 * length, 0.5 * length), 0.1 * length)
        # A search that finds nothing begins anew, along the gradient.
        lost = search.shorter >= _MOST_SHORTER
        steepest = jnp.sqrt(products[0, 0] / (products[3, 3] + 1e-30)) * length
        way = jnp.where(lost, -steepest * search.gradient, search.way)
        slope = jnp.where(lost, -steepest * products[3, 3], slope)
        at = jnp.where(lost, 1.0, shorter)
        none = self.init_memory(search.way.size)
        memory = jax.tree.map(lambda none, old: jnp.where(lost, none, old), none, memory)
        tries = jnp.where(lost, 0.0, search.shorter + 1)
        one = jnp.ones(())
        back = Search(way, search.gradient, slope, search.loss, at, one, tries, search.step + 1)
        return at * way - length * search.way, memory, back


class Search(NamedTuple):
    """Where a line search stands."""

    way: Float[Array, " coordinates"]
    """The direction, at length 1."""
    gradient: Float[Array, " coordinates"]
    """At the origin, as are the slope along the direction and the loss."""
    slope: Float[Array, ""]
    loss: Float[Array, ""]
    length: Float[Array, ""]
    """Of the present trial."""
    boost: Float[Array, ""]
    """The length at which the next direction is tried first."""
    shorter: Float[Array, ""]
    """Shorter trials in a row."""
    step: Float[Array, ""]
    """Evaluations so far."""


def _pack(search: Search) -> tuple[Float[Array, "2 coordinates"], Float[Array, "6"]]:
    """A search as two arrays: a jitted step pays for each array that it takes and returns."""
    return jnp.stack(search[:2]), jnp.stack(search[2:])


def _unpack(packed: tuple[Float[Array, "2 coordinates"], Float[Array, "6"]]) -> Search:
    return Search(*packed[0], *packed[1])
