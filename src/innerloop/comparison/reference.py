"""L-BFGS with its line search, for losses that are the same at every evaluation."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PRNGKeyArray

from .. import keys
from ..tasks import TaskFamily, draw_params, draw_problem
from .price import Price

_PROBES = 3  # Problems on which two keys have to give one loss.
_STATE_BYTES = 8.0 * (2 * 10 + 2)  # Ten pairs of differences, a point, a gradient; float64.
_FAR = 1e30  # What a loss that is not finite counts as in a line search.


class Reference(eqx.Module):
    """The runs of L-BFGS."""

    losses: Float[np.ndarray, "steps problems"]
    """The lowest loss so far after 0, 1, … T evaluations of f and ∇f, float32."""
    price: Price
    """Seconds per evaluation, the median over problems, and bytes of the state."""


def is_noiseless(task: TaskFamily, *, key: PRNGKeyArray) -> bool:
    """Whether the loss is a function of the parameters alone: two keys give one value.

    Args:
        task: The family of problems. Some of them are looked at, each at its θ₀ and near it.
        key: Draws them.
    """

    @eqx.filter_jit
    def both(task, key):
        place, one, other = jax.random.split(key, 3)
        problem, params, _ = _draw(task, key)
        flat, unravel = ravel_pytree(params)
        near = unravel(flat + 0.1 * jax.random.normal(place, flat.shape, flat.dtype))
        return [[task.loss(x, problem, key=k) for k in (one, other)] for x in (params, near)]

    found = [both(task, each) for each in jax.random.split(key, _PROBES)]
    return all(float(a) == float(b) for pairs in found for a, b in pairs)


def lbfgs(task: TaskFamily, *, key: PRNGKeyArray, problems: int, steps: int) -> Reference:
    """SciPy's L-BFGS, on the problems that `key` names, one after another.

    A first-order optimizer evaluates f and ∇f once a step, L-BFGS several times in one of its
    iterations. Its losses are counted by evaluations therefore, so that all optimizers are
    compared after as many gradients. A problem ends early where it has converged or where its
    line search finds nothing lower, and keeps its loss.

    Args:
        task: The family. Its loss must be without noise, see `is_noiseless`.
        key: Draws the problems, the same as `evaluate` draws by it.
        problems: How many problems, 1 or more.
        steps: Evaluations of f and ∇f for each, 1 or more.

    Returns:
        `losses` [steps + 1, problems], the lowest so far, and the price of an evaluation.
    """
    arrays, static = eqx.partition(task, eqx.is_array)
    draw, value_and_grad = _functions(arrays, static)
    curves, times = [], []
    for each in jax.random.split(key, problems):
        flat, problem, loss_key = draw(arrays, each)

        def function(x, dtype=flat.dtype, problem=problem, loss_key=loss_key):
            return value_and_grad(arrays, jnp.asarray(x, dtype), problem, loss_key)

        counted, start = _Counted(function, steps), np.asarray(flat, float)
        counted(start)  # The loss at θ_0, which costs a first-order optimizer nothing.
        began = time.perf_counter()
        _minimise(counted, start)
        times.append((time.perf_counter() - began) / max(1, counted.count))
        curves.append(counted.curve())
    seconds = float(np.median(times))
    return Reference(np.stack(curves, axis=1), Price(seconds, _STATE_BYTES))


def _draw(task: TaskFamily, key: PRNGKeyArray) -> tuple[Any, Any, Any]:
    """(problem, θ₀, key of its loss), as `InnerLoop.init` draws them."""
    sample_key, init_key, loss_key = jax.random.split(key, 3)
    problem = draw_problem(task, key=sample_key)
    return problem, draw_params(task, problem, key=init_key), loss_key


def _functions(arrays: Any, static: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(draw, value and gradient) of a task in two parts, over flat parameters; both compiled."""

    def params_of(arrays):
        return _draw(eqx.combine(arrays, static), jax.random.key(0))[1]

    shapes = jax.eval_shape(params_of, arrays)
    _, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))

    @jax.jit
    def draw(arrays, key):
        problem, params, loss_key = _draw(eqx.combine(arrays, static), key)
        return ravel_pytree(params)[0], problem, keys.step(loss_key, 0)

    @jax.jit
    def value_and_grad(arrays, flat, problem, key):
        task = eqx.combine(arrays, static)
        return jax.value_and_grad(lambda x: task.loss(unravel(x), problem, key=key))(flat)

    return draw, value_and_grad


class _Counted:
    """A function and its gradient for SciPy, which remembers the lowest value so far."""

    def __init__(self, function: Callable[[Any], Any], most: int):
        self.function, self.most = function, most
        self.values: list[float] = []

    @property
    def count(self) -> int:
        return len(self.values) - 1

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = self.function(x)
        value, grad = float(value), np.asarray(grad, float)
        if self.count < self.most:
            self.values.append(value)
        if not (np.isfinite(value) and np.all(np.isfinite(grad))):
            return _FAR, np.zeros_like(x)
        return value, grad

    def curve(self) -> Float[np.ndarray, " steps"]:
        values = self.values + self.values[-1:] * (self.most + 1 - len(self.values))
        with np.errstate(invalid="ignore"):  # Values that are no numbers are passed over.
            return np.fmin.accumulate(np.asarray(values, np.float32))


def _minimise(function: _Counted, start: np.ndarray) -> None:
    options = {"maxfun": function.most, "maxiter": function.most, "ftol": 0.0, "gtol": 0.0}
    scipy.optimize.minimize(function, start, jac=True, method="L-BFGS-B", options=options)
