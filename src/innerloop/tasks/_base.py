"""What a task is: a family of optimisation problems."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Problem = PyTree[Any]
Params = PyTree[Any]
Split = Literal["train", "validation", "test"]


class TaskFamily(eqx.Module):
    """A family of optimisation problems that an optimizer can be trained on.

    Subclass it and write three methods. A problem is any pytree of arrays, and many of them are
    solved at once under `jax.vmap`. Data that all problems share (a training set, say) belongs in
    fields of the task itself.

    Example:
        >>> import innerloop
        >>> import jax
        >>> import jax.numpy as jnp
        >>> class Bowl(innerloop.TaskFamily):
        ...     '''f(θ) = ‖θ − centre‖² in two dimensions.'''
        ...
        ...     def sample(self, *, key):
        ...         return jax.random.normal(key, (2,))
        ...
        ...     def init(self, problem, *, key):
        ...         return jnp.zeros(2)
        ...
        ...     def loss(self, params, problem, *, key):
        ...         return jnp.sum((params - problem) ** 2)
        >>> key = jax.random.key(0)
        >>> task = Bowl()
        >>> problem = task.sample(key=key)
        >>> float(task.loss(problem, problem, key=key))
        0.0
    """

    registry_kind: ClassVar[str] = "task family"
    one_by_one: ClassVar[bool] = False
    """Whether a batch of problems is worked through one after another instead of under
    `jax.vmap`: faster on a CPU where one problem alone fills the caches, as a convolutional
    network does."""

    @abc.abstractmethod
    def sample(self, *, key: PRNGKeyArray) -> Problem:
        """One problem drawn from the family: a pytree of arrays (or None).

        Args:
            key: Draws the problem.
        """

    @abc.abstractmethod
    def init(self, problem: Problem, *, key: PRNGKeyArray) -> Params:
        """The parameters θ₀ that the problem's inner loop starts from: a pytree of float arrays.

        Args:
            problem: What `sample` returned.
            key: Draws the parameters.
        """

    @abc.abstractmethod
    def loss(self, params: Params, problem: Problem, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """f(θ), the scalar that is minimised.

        Args:
            params: θ, as from `init`.
            problem: What `sample` returned.
            key: Draws the minibatch, if the loss has one.
        """

    def split(self, part: Split) -> "TaskFamily":
        """The family that problems for training, validation (and tuning) or testing are of.

        The task itself, unless overridden: problems differ by their keys, which training,
        validation and testing never share. Override it where problems are built on data that
        has to be kept apart, such as photographs or classes.
        """
        return self

    def meta_loss(self, params: Params, problem: Problem, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """What an unroll is judged by in meta-training: f itself, unless overridden.

        Override it where the judge sees other data than the rule: a query set, or a larger
        minibatch, whose gradient is less noisy.
        """
        return self.loss(params, problem, key=key)

    def held_out_loss(
        self, params: Params, problem: Problem, *, key: PRNGKeyArray
    ) -> Float[Array, ""] | None:
        """The loss on data that the inner loop never sees; None where there is no such data.

        It is reported beside the training loss and never optimised.
        """
        return None


def draw_problem(task: TaskFamily, *, key: PRNGKeyArray) -> Problem:
    """What `task.sample` returns, with arrays for numbers."""
    return _as_arrays(task.sample(key=key))


def draw_params(task: TaskFamily, problem: Problem, *, key: PRNGKeyArray) -> Params:
    """What `task.init` returns, with arrays for numbers."""
    return _as_arrays(task.init(problem, key=key))


def _as_arrays(tree: PyTree) -> PyTree:
    def as_array(leaf: Any) -> Any:
        if isinstance(leaf, (bool, int, float, np.generic, np.ndarray)):
            return jnp.array(leaf, jnp.result_type(leaf))
        return leaf

    return jax.tree.map(as_array, tree)


def over_batch(task: TaskFamily, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of one problem, mapped over arguments that lead with the axis `problems`."""
    if task.one_by_one:
        return lambda *arguments: jax.lax.map(lambda each: function(*each), arguments)
    return jax.vmap(function)


def coordinates(task: TaskFamily) -> int:
    """How many coordinates the parameters of one problem have."""
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(task)))


def shapes(task: TaskFamily) -> PyTree[jax.ShapeDtypeStruct]:
    """The parameters of one problem, with shapes and dtypes and without numbers."""

    def init(task):
        key = jax.random.key(0)
        return draw_params(task, draw_problem(task, key=key), key=key)

    return eqx.filter_eval_shape(init, task)
