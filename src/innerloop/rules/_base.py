"""What a rule is: a learned (or hand-designed) optimizer, held as a pytree."""

import abc
import inspect
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..kernels.coordinate_chunks import in_chunks
from ..runtime.settings import parameters, read_arguments
from ._flat import check_grads, check_params, ravel, unravel_like
from ._values import decode, encode


class Rule(eqx.Module):
    """An update rule whose array leaves are its meta-parameters φ.

    A rule is a frozen pytree: it can be differentiated, mapped and saved. Parameters never live in
    its state. `as_optax` turns it into an `optax.GradientTransformationExtraArgs`, which stands
    wherever `optax.adam(1e-3)` stood.

    A rule moves all that it is given: a gradient of 0 is an input like any other. What must stay
    is kept from it: `optax.partition({"train": rule.as_optax(), "keep": optax.set_to_zero()},
    labels)`. Learned rules take real parameters only.

    A rule of one's own is a subclass with `init` and `update`. To save it, register it by
    `innerloop.register`, and give each argument of its constructor but `key` a field of the same
    name.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> class Scaled(innerloop.Rule):
        ...     '''Gradient descent of one learned rate.'''
        ...     log_rate: jax.Array
        ...
        ...     def init(self, params):
        ...         return ()
        ...
        ...     def update(self, grads, state, params=None, *, value=None, **extra):
        ...         rate = jnp.exp(self.log_rate)
        ...         return jax.tree.map(lambda gradient: -rate * gradient, grads), state
        >>> rule = Scaled(jnp.zeros(()))
        >>> rule.update(jnp.ones(2), rule.init(jnp.zeros(2)))[0].tolist()
        [-1.0, -1.0]
    """

    registry_kind: ClassVar[str] = "rule"

    @abc.abstractmethod
    def init(self, params: PyTree) -> PyTree:
        """The state for `params`: a pytree of arrays.

        Args:
            params: Any pytree of float arrays.
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
        """One step: (updates, state), where θ_{t+1} = θ_t + updates.

        Rules ignore what they have no use for.

        Args:
            grads: ∇f(θ_t), a pytree like the parameters.
            state: The state after the step before, or that of `init`.
            params: θ_t.
            value: f(θ_t), a scalar; Optax's own name for it.
            **extra: Whatever else an Optax transformation may be given.

        Returns:
            The updates, with the structure, shapes and dtypes of `grads`, and the new state.
        """

    def eval_params(self, state: PyTree, params: PyTree) -> PyTree:
        """The parameters that the rule is judged at: θ_t, unless overridden.

        Override it where the answer is an average of where the rule went, as Schedule-Free's is.

        Args:
            state: The state after step t.
            params: θ_t.

        Returns:
            A pytree like `params`.
        """
        return params

    def as_optax(self) -> optax.GradientTransformationExtraArgs:
        """This rule as an Optax transformation.

        An Optax transformation is a pair of closures and no pytree: where φ is traced
        (under `jax.grad`, say), call this inside the traced function.
        """

        # Plain functions: a bound method of a module is a pytree, which Flax NNX takes for state.
        def init(params: PyTree) -> PyTree:
            return self.init(params)

        def update(
            grads: PyTree, state: PyTree, params: PyTree | None = None, **extra: Any
        ) -> tuple[PyTree, PyTree]:
            return self.update(grads, state, params, **extra)

        return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]

    def to_settings(self) -> dict[str, Any]:
        """What `from_settings` makes this rule from, apart from the numbers in its arrays.

        By default it is every argument of the constructor but `key` that is a field of the same
        name. A rule whose constructor takes anything else overrides both methods.

        Raises:
            InnerloopError: An argument without a default is no such field, or a file cannot hold
                its value.
        """
        name, settings = type(self).__name__, {}
        for argument, parameter in parameters(type(self), plain=False).items():
            if hasattr(self, argument):
                value = getattr(self, argument)
                settings[argument] = encode(value, f"{name} cannot be saved: its {argument}")
            elif parameter.default is inspect.Parameter.empty:
                raise InnerloopError(
                    f"{name} cannot be saved: its argument {argument} is no field, so that its "
                    "value is lost."
                )
        return settings

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: PRNGKeyArray) -> "Rule":
        """An untrained rule of this class.

        Args:
            settings: As `to_settings` gives them.
            key: Draws the first arrays, where the constructor takes a key.

        Raises:
            InnerloopError: A setting is unknown, of another type or out of its range.
        """
        given = {name: decode(value) for name, value in settings.items()}
        given = read_arguments(cls, given, plain=False)
        if "key" in inspect.signature(cls).parameters:
            given["key"] = key
        return cls(**given)


class FlatRule(Rule):
    """A rule that sees a problem's coordinates as one flat vector, with state for each.

    It can be given the coordinates of many problems laid end to end, which makes it one
    matrix product for a whole batch.
    """

    @abc.abstractmethod
    def init_coordinates(self, coordinates: int) -> PyTree[Float[Array, "_ coordinates"]]:
        """The state for `coordinates` coordinates; every leaf is [features, coordinates]."""

    @abc.abstractmethod
    def update_problems(
        self,
        gradient: Float[Array, " coordinates"],
        state: PyTree[Float[Array, "_ coordinates"]],
        problems: int,
    ) -> tuple[Float[Array, " coordinates"], PyTree[Float[Array, "_ coordinates"]]]:
        """(step, state) of `problems` problems, each with an equal run of the coordinates.

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
        kept = jax.tree.leaves(state)
        if kept:
            check_grads(grads, jnp.shape(kept[0])[-1])
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
