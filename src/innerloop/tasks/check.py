"""Checking that a task can be trained on, before hours are spent on it."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..errors import InnerloopError
from ..userfiles import place_of
from ._base import TaskFamily, draw_params, draw_problem


def check_task(task: Any, *, name: str = "The task") -> None:
    """Sample one problem and take its loss and gradient.

    Args:
        task: What is given as a task family.
        name: What messages call it.

    Raises:
        InnerloopError: It is no task family, a method fails, a problem or the parameters hold
            what is no array, the parameters are no floating-point arrays, the loss is no scalar,
            or loss or gradient is not finite at the start.
    """
    if not isinstance(task, TaskFamily):
        raise InnerloopError(
            f"{name} is a {type(task).__name__}; it must be an instance of innerloop.TaskFamily."
        )
    keys = jax.random.split(jax.random.key(0), 3)
    called = "sample"

    @eqx.filter_jit
    def begin(task, keys):
        nonlocal called
        problem = draw_problem(task, key=keys[0])
        _check_arrays(problem, f"{name}: sample", "the problem")
        called = "init"
        params = draw_params(task, problem, key=keys[1])
        _check_arrays(params, f"{name}: init", "the parameters")
        _check_floats(params, name)
        called = "loss"
        loss = task.loss(params, problem, key=keys[2])
        _check_scalar(loss, name)
        return params, loss, problem

    try:
        params, loss, problem = begin(task, keys)
    except InnerloopError:
        raise
    except Exception as error:  # Whatever a user's own code raises.
        raise InnerloopError(
            f"{name}: {called} fails: {type(error).__name__}: {_first(error)}"
            f"{place_of(error, type(task))}{_hint(error)}"
        ) from error

    @eqx.filter_jit
    def gradient(task, params, problem, key):
        return jax.grad(task.loss)(params, problem, key=key)

    grads = gradient(task, params, problem, keys[2])
    if not np.isfinite(loss):
        raise InnerloopError(f"{name}: the loss is {float(loss)} at the initial parameters.")
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads)):
        raise InnerloopError(
            f"{name}: the loss's gradient is not finite at the initial parameters."
        )


def _check_arrays(tree: PyTree, method: str, what: str) -> None:
    """Raises `InnerloopError` for a leaf that is no array with elements, with the remedy."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        place = what + jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.Array):
            raise InnerloopError(
                f"{method} must return arrays; {place} is {_shown(leaf)}. {_remedy(leaf)}"
            )
        if leaf.size == 0:
            raise InnerloopError(
                f"{method} must return arrays with elements; {place} has the shape {leaf.shape}. "
                "Leave it out, or put None in its place."
            )


def _shown(leaf: Any) -> str:
    if callable(leaf):
        return f"the function {getattr(leaf, '__name__', type(leaf).__name__)}"
    if isinstance(leaf, str):
        return f"the text {leaf!r:.40}"
    return f"a {type(leaf).__name__}"


def _remedy(leaf: Any) -> str:
    if callable(leaf):
        return "Of a model of Equinox return eqx.filter(model, eqx.is_array)."
    if isinstance(leaf, str):
        return "A text belongs in a field of the task, eqx.field(static=True)."
    if dataclasses.is_dataclass(leaf):
        return "Make its class an equinox.Module, or return a dictionary of arrays."
    return "Return arrays in dictionaries, lists, tuples or an equinox.Module."


def _check_floats(params: PyTree, name: str) -> None:
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)}
    if dtypes and all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        return
    kinds = ", ".join(sorted(map(str, dtypes))) or "none"
    raise InnerloopError(
        f"{name}: init must return floating-point arrays; it returned {kinds}. What is not "
        "optimised belongs in the problem or in a field of the task."
    )


def _check_scalar(loss: Any, name: str) -> None:
    shape, dtype = getattr(loss, "shape", None), getattr(loss, "dtype", None)
    is_array = isinstance(loss, jax.Array)
    if is_array and shape == () and jnp.issubdtype(loss.dtype, jnp.floating):
        return
    found = type(loss).__name__ if shape is None else f"shape {shape} of {dtype}"
    more = " Return the loss alone, without auxiliary values." if isinstance(loss, tuple) else ""
    raise InnerloopError(
        f"{name}: loss must return one floating-point number, an array of shape (); it returned "
        f"{found}.{more}"
    )


def _hint(error: Exception) -> str:
    """What to write instead, where a value was asked for that is not known yet."""
    if not isinstance(error, (jax.errors.JAXTypeError, jax.errors.JAXIndexError)):
        return ""
    return (
        ". The method is traced: its arrays have no values yet. Leave float(), int(), if and "
        "functions of numpy away, and use those of jax.numpy."
    )


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
