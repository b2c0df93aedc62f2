"""What a rule is: a learned (or hand-designed) optimizer, held as a pytree."""

import abc
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, DTypeLike, Float, PyTree

from ..kernels.coordinate_chunks import in_blocks
from ._flat import check_params, ravel, unravel_like


class Rule(eqx.Module):
    """An update rule whose array leaves are its meta-parameters φ.

    Subclass it and write `init` and `update`. A rule is a frozen pytree, so it can be
    differentiated, mapped and saved. `as_optax` makes an Optax transformation of it, which stands
    wherever `optax.adam(1e-3)` stood. Parameters never live in a rule's state.

    A rule moves every parameter that it is given: a gradient of 0 is an input like any other.
    Parameters that must stay where they are are kept from it by
    `optax.partition({"train": rule.as_optax(), "freeze": optax.set_to_zero()}, labels)`.

    For `innerloop.save`, register the class, and keep what the constructor is given in fields of
    the same names; or write a method `settings()` that returns the constructor's keyword
    arguments.

    Example:
        >>> import jax, innerloop
        >>> @innerloop.register("sign-descent")
        ... class SignDescent(innerloop.Rule):
        ...     rate: jax.Array
        ...     def init(self, params):
        ...         return ()
        ...     def update(self, grads, state, params=None, *, value=None, **extra):
        ...         return jax.tree.map(lambda g: -self.rate * jax.numpy.sign(g), grads), state
    """

    registry_kind: ClassVar[str] = "rule"

    @abc.abstractmethod
    def init(self, params: PyTree) -> PyTree:
        """The state before the first step.

        Args:
            params: The parameters, floating-point arrays in any pytree.

        Returns:
            A pytree of arrays.
        """

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
        """One step, θ_{t+1} = θ_t + updates.

        Args:
            grads: The gradient at `params`.
            state: The state before the step.
            params: The parameters θ_t, for rules that need them.
            value: The loss at `params`, for rules that need it (Optax's own name for it).
            **extra: What other Optax transformations are passed; rules ignore it.

        Returns:
            (updates, state). `updates` has the structure, shapes and dtypes of `grads`.
        """

    def as_optax(self) -> optax.GradientTransformationExtraArgs:
        """This rule as an Optax transformation.

        It is a pair of plain functions and no pytree: where φ is traced (under `jax.grad`, say),
        call this inside the traced function.

        Returns:
            The transformation. Its `update` takes the loss as `value`, where the rule needs it.

        Example:
            >>> import jax.numpy as jnp, innerloop
            >>> optimizer = innerloop.load("lstm-mnist").as_optax()
            >>> state = optimizer.init(jnp.ones(3))
            >>> updates, state = optimizer.update(jnp.ones(3), state)
            >>> updates.shape
            (3,)
        """

        # Methods of a module are pytrees, which cannot be hashed where they hold arrays.
        def init(params: optax.Params) -> optax.OptState:
            return self.init(params)

        def update(
            updates: optax.Updates,
            state: optax.OptState,
            params: optax.Params | None = None,
            **extra_args: Any,
        ) -> tuple[optax.Updates, optax.OptState]:
            return self.update(updates, state, params, **extra_args)

        return optax.GradientTransformationExtraArgs(init, update)


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
        check_params(params)
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
        return in_blocks(self.update_coordinates, gradient, state)
