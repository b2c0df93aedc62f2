"""What a rule is: a learned (or hand-designed) optimizer, held as a pytree."""

import abc
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, DTypeLike, Float, PyTree

from ..kernels.coordinate_chunks import in_chunks
from ._flat import ravel, unravel_like


class Rule(eqx.Module):
    """An update rule whose array leaves are its meta-parameters φ.

    A rule is a frozen pytree, so it can be differentiated, mapped and saved; `as_optax`
    turns it into an `optax.GradientTransformationExtraArgs` that stands wherever
    `optax.adam(1e-3)` stood. Parameters never live in its state.
    """

    registry_kind: ClassVar[str] = "rule"

    @abc.abstractmethod
    def init(self, params: PyTree) -> PyTree:
        """The state for `params`: a pytree of arrays."""

    @abc.abstractmethod
    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        """One step: (updates, state), where θ_{t+1} = θ_t + updates.

        `updates` has the structure, shapes and dtypes of `grads`; `value` is the loss at
        `params` (Optax's own name for it). Rules ignore what they have no use for.
        """

    def as_optax(self) -> optax.GradientTransformationExtraArgs:
        """This rule as an Optax transformation.

        An Optax transformation is a pair of closures and no pytree: where φ is traced
        (under `jax.grad`, say), call this inside the traced function.
        """
        return optax.GradientTransformationExtraArgs(self.init, self.update)  # pyright: ignore[reportArgumentType]


class FlatRule(Rule):
    """A rule that sees a problem's coordinates as one flat vector, with state for each.

    It can be given the coordinates of many problems laid end to end, which makes it one
    matrix product for a whole batch.
    """

    @abc.abstractmethod
    def init_coordinates(self, coordinates: int) -> PyTree[Float[Array, "_ coordinates"]]:
        """The state for so many coordinates; every leaf is [features, coordinates]."""

    @abc.abstractmethod
    def update_problems(
        self,
        gradient: Float[Array, " coordinates"],
        state: PyTree[Float[Array, "_ coordinates"]],
        problems: int,
    ) -> tuple[Float[Array, " coordinates"], PyTree[Float[Array, "_ coordinates"]]]:
        """(step, state) of so many problems, each with an equal run of the coordinates.

        All is in the rule's own dtype.
        """

    @property
    @abc.abstractmethod
    def dtype(self) -> DTypeLike:
        """What the rule computes in, whatever the dtype of the parameters."""

    @final
    def init(self, params: PyTree) -> PyTree[Float[Array, "_ coordinates"]]:
        state = self.init_coordinates(sum(jnp.size(leaf) for leaf in jax.tree.leaves(params)))
        # Each leaf in a buffer of its own, so that the state can be donated.
        return jax.tree.map(jnp.copy, state)

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
        step, state = self.update_problems(ravel(grads, self.dtype), state, 1)
        return unravel_like(step, grads), state


class CoordinatewiseRule(FlatRule):
    """A rule that treats every coordinate alike, whichever problem it belongs to.

    Subclasses say what happens to one flat vector of coordinates.
    """

    @abc.abstractmethod
    def update_coordinates(
        self,
        gradient: Float[Array, " coordinates"],
        state: PyTree[Float[Array, "_ coordinates"]],
    ) -> tuple[Float[Array, " coordinates"], PyTree[Float[Array, "_ coordinates"]]]:
        """(step, state) from the gradient, all in the rule's own dtype."""

    @final
    def update_problems(
        self,
        gradient: Float[Array, " coordinates"],
        state: PyTree[Float[Array, "_ coordinates"]],
        problems: int,
    ) -> tuple[Float[Array, " coordinates"], PyTree[Float[Array, "_ coordinates"]]]:
        return self.update_many(gradient, state)

    def update_many(
        self,
        gradient: Float[Array, " coordinates"],
        state: PyTree[Float[Array, "_ coordinates"]],
    ) -> tuple[Float[Array, " coordinates"], PyTree[Float[Array, "_ coordinates"]]]:
        """`update_coordinates`, in the way that is fastest here."""
        return in_chunks(self.update_coordinates, gradient, state)
