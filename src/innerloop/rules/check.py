"""Checking that what is given as a rule is one, where a name or an optimizer is easily meant."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from ..errors import InnerloopError
from ..userfiles import place_of
from ._base import Rule


def check_rule(rule: Any, *, name: str = "The rule") -> None:
    """Raises `InnerloopError`, with what to write instead, where `rule` is no `Rule`."""
    if isinstance(rule, Rule):
        return
    raise InnerloopError(f"{name} is {rule!r:.60}, which is no innerloop.Rule; {_instead(rule)}.")


def check_optimizer(optimizer: Any, *, name: str) -> None:
    """Raises `InnerloopError` where `optimizer` is neither a `Rule` nor of Optax."""
    if isinstance(optimizer, (Rule, optax.GradientTransformation)):
        return
    instead = _instead(optimizer) if isinstance(optimizer, str) else "optax.adam(1e-3), say, is one"
    raise InnerloopError(f"{name} is {optimizer!r:.60}, which is no optimizer; {instead}.")


def check_given(rule: str, **needed: Any) -> None:
    """Raises `InnerloopError`, with the call that is right, where `update` lacks an argument.

    Args:
        rule: What the rule is called.
        needed: The arguments by name, `value` and `params` among them; None where one is missing.
    """
    for name, given in needed.items():
        if given is None:
            what = {"value": "the loss", "params": "the parameters"}[name]
            raise InnerloopError(
                f"{rule} needs {what}, and {name} is None; "
                "call update(grads, state, params, value=loss)."
            )


def check_update(rule: Rule, params: PyTree) -> None:
    """Trace one step of a rule, and see whether it can be made again and again.

    Args:
        rule: The rule.
        params: Parameters, or their shapes and dtypes.

    Raises:
        InnerloopError: `init` or `update` of a class of the user's own fails; its steps are not
            like the parameters; or the state after a step is not like that before it.
    """
    name = type(rule).__name__

    def step(params: PyTree) -> Any:
        state = rule.init(params)
        grads = jax.tree.map(jnp.zeros_like, params)
        found = rule.update(grads, state, params, value=jnp.zeros(()))
        if not isinstance(found, tuple) or len(found) != 2:
            raise InnerloopError(f"{name}.update must return two things, (updates, state).")
        return state, *found

    try:
        before, updates, after = eqx.filter_eval_shape(step, params)
    except InnerloopError:
        raise
    except Exception as error:  # Whatever a user's own code raises.
        place = place_of(error, type(rule))
        if not place:
            raise
        first = (str(error).strip().splitlines() or [""])[0]
        raise InnerloopError(
            f"{name}: init or update fails: {type(error).__name__}: {first}{place}"
        ) from error
    _check_alike(updates, params, f"{name}.update returns steps", "the parameters")
    _check_alike(after, before, f"{name}.update returns a state", "that of init")


def _check_alike(found: PyTree, wanted: PyTree, what: str, like: str) -> None:
    """Raises `InnerloopError` for the first leaf of another place, shape or dtype."""
    there, here = _leaves(found), _leaves(wanted)
    for place in [*here, *(each for each in there if each not in here)]:
        if there.get(place) != here.get(place):
            at = f" at {place}" if place else ""
            raise InnerloopError(
                f"{what} unlike {like}: it is {there.get(place, 'nothing')}{at}, and must be "
                f"{here.get(place, 'nothing')}."
            )


def _leaves(tree: PyTree) -> dict[str, str]:
    """Of each leaf by its place, "float32 of shape (2, 3)"."""
    return {
        jax.tree_util.keystr(path): f"{_dtype(leaf)} of shape {getattr(leaf, 'shape', ())}"
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array, np.ndarray, bool, int, float))
    }


def _dtype(leaf: Any) -> str:
    return str(leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf))


def _instead(found: Any) -> str:
    if isinstance(found, str):
        return f"innerloop.load({found!r}) gives a shipped or saved one"
    if isinstance(found, optax.GradientTransformation):
        return "innerloop.OptaxRule(optax.adam, 0.1), say, makes one of an optimizer"
    return "innerloop.load(NAME) or innerloop.LSTMRule(key=key), say, is one"
