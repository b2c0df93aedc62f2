"""Hand-designed optimizers as rules, so that they run in the same inner loop."""

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from ..errors import InnerloopError
from ..registry import register
from ._base import Rule

OPTIMIZERS = (
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "amsgrad",
    "fromage",
    "lamb",
    "lars",
    "lion",
    "nadam",
    "nadamw",
    "novograd",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sign_sgd",
    "signum",
    "sm3",
    "yogi",
)
"""What Optax calls the optimizers that files may name; all take the learning rate first."""


@register("optax")
@final
class OptaxRule(Rule):
    """An Optax optimizer as a rule, whose learning rate is its only array leaf.

    Because the rate is a leaf, a whole grid of rates is one `jax.vmap`. The transformation is
    made inside the traced function, since it is a pair of closures and no pytree.

    Args:
        make: What makes the transformation from a learning rate and `options`: `optax.adam`, say,
            or its name, "adam".
        learning_rate: The learning rate, a number.
        **options: The other arguments of `make`, by keyword. For `innerloop.save` they must be
            numbers, truth values, texts or None, and `make` one of Optax's own optimizers.

    Raises:
        InnerloopError: `make` is a name that is none of these optimizers', `learning_rate` is no
            number, or `make` does not take one of the options.

    Example:
        >>> import optax, innerloop
        >>> rule = innerloop.OptaxRule(optax.sgd, 0.1, momentum=0.9, nesterov=True)
        >>> float(rule.learning_rate) == innerloop.OptaxRule("sgd", 0.1).learning_rate
        Array(True, dtype=bool)
    """

    learning_rate: Float[Array, ""]
    make: Callable[..., optax.GradientTransformation] = eqx.field(static=True)
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(
        self,
        make: str | Callable[..., optax.GradientTransformation],
        learning_rate: Any,
        **options: Any,
    ):
        if isinstance(make, str):
            make = _named(make)
        while isinstance(make, functools.partial) and not make.args:
            make, options = make.func, {**make.keywords, **options}
        if isinstance(learning_rate, str) or callable(learning_rate):
            raise InnerloopError(
                f"learning_rate is {learning_rate!r:.60}; it must be a number. A schedule goes "
                "into make: lambda rate: optax.adam(optax.cosine_decay_schedule(rate, 100))."
            )
        _check_options(make, options)
        if not all(isinstance(option, Hashable) for option in options.values()):
            make, options = functools.partial(make, **options), {}
        self.make, self.options = make, tuple(sorted(options.items()))
        self.learning_rate = jnp.asarray(learning_rate, float)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, with Optax's name for `make`.

        Raises:
            InnerloopError: `make` or an option is nothing that a file can name.
        """
        made_by = getattr(self.make, "__qualname__", repr(self.make))
        name = next((each for each in OPTIMIZERS if getattr(optax, each, None) is self.make), None)
        if name is None:
            raise InnerloopError(
                f"An OptaxRule of {made_by} cannot be saved, since files hold no functions; an "
                f"optimizer of Optax's own can be: {', '.join(OPTIMIZERS)}."
            )
        for key, option in self.options:
            if not isinstance(option, (bool, int, float, str, np.generic, type(None))):
                raise InnerloopError(
                    f"An OptaxRule of {made_by} cannot be saved, since its {key} is "
                    f"{_called(option)}; it must be a number, a truth value, a text or None."
                )
        return {"make": name, "learning_rate": self.learning_rate, **dict(self.options)}

    def init(self, params: PyTree) -> PyTree:
        return self._transformation().init(params)

    def update(
        self,
        grads: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Float[Array, ""] | None = None,
        **extra: Any,
    ) -> tuple[PyTree, PyTree]:
        transformation = optax.with_extra_args_support(self._transformation())
        updates, state = transformation.update(grads, state, params, value=value, **extra)
        # A learning rate that is an array would turn half precision into single.
        return jax.tree.map(lambda u, g: u.astype(jnp.result_type(g)), updates, grads), state

    def _transformation(self) -> optax.GradientTransformation:
        return self.make(self.learning_rate, **dict(self.options))


def _named(name: str) -> Callable[..., optax.GradientTransformation]:
    found = getattr(optax, name, None) if name in OPTIMIZERS else None
    if found is None:
        raise InnerloopError(
            f"make is '{name}', which is no optimizer of Optax's; there are: "
            f"{', '.join(OPTIMIZERS)}."
        )
    return found


def _check_options(make: Callable[..., Any], options: dict[str, Any]) -> None:
    try:
        inspect.signature(make).bind(0.1, **options)
    except TypeError as error:
        called = _called(make)
        raise InnerloopError(f"{called} does not take these options: {error}.") from None
    except ValueError:  # What is written in C has no signature.
        return


def _called(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return f"the function {name}" if name and callable(value) else f"{value!r:.60}"
