"""What is seen of a task, and which tasks are refused before any minute is spent."""

import jax
import jax.numpy as jnp
import pytest

from innerloop import InnerloopError, TaskFamily
from innerloop.search import look


class Bowl(TaskFamily):
    def sample(self, *, key):
        return jax.random.normal(key, (3,))

    def init(self, problem, *, key):
        return jnp.zeros(3)

    def loss(self, params, problem, *, key):
        return jnp.sum((params - problem) ** 2) + 0.1


class Noisy(Bowl):
    def loss(self, params, problem, *, key):
        return super().loss(params + jax.random.normal(key, (3,)), problem, key=key)


class Constant(Bowl):
    def loss(self, params, problem, *, key):
        return jnp.sum(problem**2)


class Bottomless(Bowl):
    def loss(self, params, problem, *, key):
        return params @ problem


class SometimesNaN(Bowl):
    def loss(self, params, problem, *, key):
        return super().loss(params, problem, key=key) + jnp.log(problem[0])


class Counting(Bowl):
    def init(self, problem, *, key):
        return jnp.zeros(3, jnp.int32)


class Auxiliary(Bowl):
    def loss(self, params, problem, *, key):
        return super().loss(params, problem, key=key), params


def seen(task):
    return look(task, seconds=1.0, key=jax.random.key(0), horizon=5)


def test_it_says_what_a_task_is():
    found = seen(Bowl())
    assert (found.coordinates, found.noisy, found.smooth, found.positive) == (3, False, True, True)
    assert found.reached < found.loss and found.gradient_seconds > 0
    assert "3 parameters in arrays of (3,)" in found.sentences()[0]


def test_it_sees_noise():
    assert seen(Noisy()).noisy


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Constant, "does not depend on the parameters"),
        (Bottomless, "falls without bound"),
        (SometimesNaN, "not finite"),
        (Counting, "floating-point"),
        (Auxiliary, "without auxiliary values"),
    ],
)
def test_wrong_tasks_are_refused_in_a_sentence(task, said):
    with pytest.raises(InnerloopError, match=said):
        seen(task())
