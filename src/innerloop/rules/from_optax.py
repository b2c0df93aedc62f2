"""Hand-designed optimizers as rules, so that they run in the same inner loop."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule

OPTIMIZERS = (
    *("adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw"),
    *("amsgrad", "fromage", "lamb", "lars", "lion", "nadam", "nadamw", "novograd", "radam"),
    *("rmsprop", "rprop", "sgd", "sign_sgd", "sm3", "yogi"),
)
"""Functions of Optax that a file may name; their first argument is the learning rate."""


@register("optax")
@final
class OptaxRule(Rule):
    """An Optax optimizer as a rule: its learning rate is the rule's only array leaf.

    Because the rate is a leaf, a whole grid of rates is one `jax.vmap`. `make` is called
    inside the traced function, since an Optax transformation is closures and no pytree.

    Args:
        make: Builds the transformation from a learning rate: `optax.adam`, or
            `functools.partial(optax.adam, b1=0.8)`. A rule is saved if this is one of
            `OPTIMIZERS`.
        learning_rate: A positive number.

    Example:
        >>> import innerloop, optax
        >>> float(innerloop.OptaxRule(optax.adam, 0.5).learning_rate)
        0.5
    """

    learning_rate: Float[Array, ""]
    make: Callable[..., optax.GradientTransformation] = eqx.field(static=True)

    def __init__(self, make: Callable[..., optax.GradientTransformation], learning_rate: Any):
        self.make = _shared(make)
        self.learning_rate = jnp.asarray(learning_rate, jnp.float32)

    def to_settings(self) -> dict[str, Any]:
        """The optimizer's name in Optax, and the settings that `functools.partial` holds."""
        make: Any = self.make
        given, more = {}, ()
        if isinstance(make, functools.partial):
            make, given, more = make.func, make.keywords, make.args
        name = next((each for each in OPTIMIZERS if getattr(optax, each, None) is make), None)
        if name is None or more:
            raise InnerloopError(
                "An OptaxRule can be saved if its optimizer is a function of Optax such as "
                "optax.adam, or functools.partial(optax.adam, b1=0.8) with settings by name; "
                f"this one is {self.make!r:.80}."
            )
        for setting, value in given.items():
            if not isinstance(value, (bool, int, float, str, type(None))):
                raise InnerloopError(
                    f"An OptaxRule cannot be saved with {setting} = {value!r:.60}; settings in "
                    "files are numbers, texts, True, False or None."
                )
        return {"optimizer": name, "settings": dict(given)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], *, key: PRNGKeyArray) -> "OptaxRule":
        """The rule of one of `OPTIMIZERS`, by name."""
        name, given = settings["optimizer"], settings["settings"]
        if name not in OPTIMIZERS:
            raise InnerloopError(f"{name!r:.60} is no optimizer that a file may name.")
        make = getattr(optax, name)
        if not set(given) <= set(inspect.signature(make).parameters):
            raise InnerloopError(f"optax.{name} has no settings {given!r:.60}.")
        return cls(functools.partial(make, **given) if given else make, 0.0)

    def init(self, params: PyTree) -> PyTree:
        return self.make(self.learning_rate).init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        transformation = optax.with_extra_args_support(self.make(self.learning_rate))
        updates, state = transformation.update(grads, state, params, value=value, **extra)
        # A learning rate that is an array would turn half precision into single.
        return jax.tree.map(lambda u, g: u.astype(jnp.result_type(g)), updates, grads), state


def _shared(make: Callable[..., Any]) -> Callable[..., Any]:
    """Of partials that are alike one and the same, since two of them are never equal."""
    if not isinstance(make, functools.partial) or make.args:
        return make
    given = tuple((name, type(value), value) for name, value in sorted(make.keywords.items()))
    try:
        return _partial(make.func, given)
    except TypeError:  # A value that cannot be hashed.
        return make


@functools.cache
def _partial(make: Callable[..., Any], given: tuple[tuple[str, type, Any], ...]) -> Any:
    return functools.partial(make, **{name: value for name, _, value in given})
