"""Checking that a task can be trained on, before hours are spent on it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InnerloopError
from ._base import TaskFamily


def check_task(task: Any, *, name: str = "The task") -> None:
    """Sample one problem and take its loss and gradient.

    Raises `InnerloopError` where it is no task, a method fails, the parameters are no
    floating-point arrays, the loss is no scalar, or loss or gradient is not finite at the start.
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
        problem = task.sample(key=keys[0])
        called = "init"
        params = task.init(problem, key=keys[1])
        called = "loss"
        return params, task.loss(params, problem, key=keys[2]), problem

    try:
        params, loss, problem = begin(task, keys)
    except InnerloopError:
        raise
    except Exception as error:  # Whatever a user's own code raises.
        raise InnerloopError(
            f"{name}: {called} fails: {type(error).__name__}: {_first(error)}"
        ) from error
    leaves = jax.tree.leaves(params)
    if not leaves or not all(
        jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves
    ):
        kinds = ", ".join(sorted({str(jnp.result_type(leaf)) for leaf in leaves})) or "none"
        raise InnerloopError(
            f"{name}: init must return floating-point arrays; it returned {kinds}."
        )
    if (
        not isinstance(loss, jax.Array)
        or loss.shape != ()
        or not jnp.issubdtype(loss.dtype, jnp.floating)
    ):
        shape = getattr(loss, "shape", None)
        raise InnerloopError(
            f"{name}: loss must return one floating-point number, an array of shape (); "
            f"it returned {'shape ' + str(shape) if shape is not None else type(loss).__name__}"
            f"{' of ' + str(loss.dtype) if shape == () else ''}."
        )

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


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
