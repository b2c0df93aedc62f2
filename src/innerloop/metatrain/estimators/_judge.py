"""What an unroll is judged by at each θ it reaches, and the slope there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ... import keys
from ...inner import Arrival, InnerLoop
from ...tasks import TaskFamily, over_batch
from ..objectives import Objective


def judge(
    task: TaskFamily, loop: InnerLoop
) -> Callable[[Arrival], tuple[Float[Array, " problems"], PyTree]]:
    """A function from an `Arrival` to (meta-losses, their gradients in θ).

    Where the task's meta-loss is its loss, both are there already and cost nothing.
    """
    if type(task).meta_loss is TaskFamily.meta_loss:
        return lambda arrival: (arrival.loss, arrival.grads)

    def one(params, problem, key, step):
        key = keys.step(keys.meta_loss(key), step)
        return jax.value_and_grad(task.meta_loss)(params, problem, key=key)

    def judged(arrival: Arrival):
        return over_batch(task, one)(arrival.params, loop.problem, loop.key, arrival.step)

    return judged


def verdict(
    objective: Objective, losses: Float[Array, "window problems"], loop: InnerLoop, horizon: int
) -> Float[Array, ""]:
    """`objective` of the meta-losses that follow `loop`."""
    steps = loop.step + jnp.arange(1, losses.shape[0] + 1)[:, None]
    return objective(losses, steps, horizon)
