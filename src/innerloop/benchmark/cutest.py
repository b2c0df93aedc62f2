"""The suite *cutest*: unconstrained problems of CUTEst, from `sif2jax`."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..errors import InnerloopError
from ..tasks import TaskFamily
from .measuring import Entry

MOST_PARAMETERS = 100
"""Of a problem of the suite. Larger problems of CUTEst are mostly smaller ones with another n."""
MOST_OPERATIONS = 1_000_000
"""Of a gradient, in floating point. Two spectra of 4,643 points have more; the next has 51,000."""


@final
class CUTEstProblem(TaskFamily):
    """One unconstrained problem of CUTEst, from its standard starting point; no noise.

    Parameters are a float array [n] or a pytree of such arrays, as `sif2jax` has them.

    Args:
        problem: A problem of `sif2jax`: `y0`, `args` and `objective(y, args)`.

    References:
        Gould, Orban & Toint, "CUTEst: a constrained and unconstrained testing environment" (2015).
    """

    problem: Any

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: there is one problem."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> PyTree:
        return jax.tree.map(_as_floats, self.problem.y0)

    def loss(self, params: PyTree, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return jnp.asarray(self.problem.objective(params, self.problem.args))


def entries(most: int = MOST_PARAMETERS) -> tuple[Entry, ...]:
    """The problems with at most `most` parameters, by name.

    One whose gradient takes more than a million operations cannot be made, and is left out.

    Args:
        most: The largest number of parameters.

    Raises:
        InnerloopError: `sif2jax` is not installed.
    """
    try:
        import sif2jax  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InnerloopError(
            "The suite cutest needs sif2jax: pip install 'innerloop[cutest]'."
        ) from error
    found = {
        _name(each): each
        for each in sif2jax.unconstrained_minimisation_problems
        if sum(jnp.size(leaf) for leaf in jax.tree.leaves(each.y0)) <= most
    }
    version = getattr(sif2jax, "__version__", "0.0.8")
    return tuple(
        Entry(name, f"sif2jax {version} {name}", lambda each=found[name]: _made(each))
        for name in sorted(found)
    )


def _made(problem: Any) -> CUTEstProblem:
    """The task; raises `InnerloopError` where a gradient takes too long for thousands of runs."""
    task, key = CUTEstProblem(problem), jax.random.key(0)
    gradient = jax.jit(jax.grad(lambda params: task.loss(params, None, key=key)))
    cost: Any = gradient.lower(task.init(None, key=key)).cost_analysis() or {}
    operations = int(cost.get("flops", 0))
    if operations > MOST_OPERATIONS:
        raise InnerloopError(
            f"a gradient takes {operations:,} operations, more than {MOST_OPERATIONS:,}"
        )
    return task


def _name(problem: Any) -> str:
    named = getattr(problem, "name", None)
    return str(named() if callable(named) else named or type(problem).__name__)


def _as_floats(leaf: Any) -> Array:
    array = jnp.asarray(leaf)
    return array if eqx.is_inexact_array(array) else array.astype(jnp.float32)
