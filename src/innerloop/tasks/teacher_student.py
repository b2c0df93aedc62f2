"""Regression on the outputs of a random network."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..registry import register
from ..runtime.settings import Count, check
from ._base import TaskFamily
from .images8 import gaussian
from .mnist import Layers


class Teacher(eqx.Module):
    """A random network with one hidden layer of tanh units."""

    first: Float[Array, "inputs units"]
    second: Float[Array, "units outputs"]

    def __call__(self, inputs: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
        return jnp.tanh(inputs @ self.first) @ self.second


@register("teacher-student")
@final
class TeacherStudent(TaskFamily):
    """Mean squared error of a network that learns what another, random one computes.

    A problem is a teacher: one hidden layer of `teacher` tanh units with Gaussian weights, whose
    outputs have a variance of about 1. The student has one hidden layer of `hidden` tanh units and
    biases. Each minibatch has fresh standard Gaussian inputs. The loss begins at some 1 to 3.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for both layers, float32.

    Args:
        inputs: Numbers in an input.
        outputs: Numbers in an output.
        teacher: The teacher's hidden units.
        hidden: The student's hidden units.
        batch: Inputs in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    inputs: Count = eqx.field(static=True, default=16)
    outputs: Count = eqx.field(static=True, default=4)
    teacher: Count = eqx.field(static=True, default=16)
    hidden: Count = eqx.field(static=True, default=32)
    batch: Count = eqx.field(static=True, default=64)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Teacher:
        first_key, second_key = jax.random.split(key)
        # Twice the variance of a student's: the teacher's units leave the linear range.
        first = jnp.sqrt(2.0) * gaussian(first_key, (self.inputs, self.teacher))
        return Teacher(first, gaussian(second_key, (self.teacher, self.outputs)))

    def init(self, problem: Teacher, *, key: PRNGKeyArray) -> Layers:
        first_key, second_key = jax.random.split(key)
        return [
            (gaussian(first_key, (self.inputs, self.hidden)), jnp.zeros(self.hidden)),
            (gaussian(second_key, (self.hidden, self.outputs)), jnp.zeros(self.outputs)),
        ]

    def loss(self, params: Layers, problem: Teacher, *, key: PRNGKeyArray) -> Float[Array, ""]:
        inputs = jax.random.normal(key, (self.batch, self.inputs))
        (first, first_bias), (second, second_bias) = params
        outputs = jnp.tanh(inputs @ first + first_bias) @ second + second_bias
        return jnp.mean((outputs - problem(inputs)) ** 2)
