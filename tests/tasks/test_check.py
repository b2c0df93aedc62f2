"""Tasks that cannot be trained on are refused with a sentence that says why."""

import jax.numpy as jnp
import pytest

from innerloop import MNIST, InnerloopError, Quadratic, TaskFamily
from innerloop.tasks.check import check_task


class Sound(TaskFamily):
    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        return jnp.ones(2)

    def loss(self, params, problem, *, key):
        return jnp.sum(params**2)


class Vector(Sound):
    def loss(self, params, problem, *, key):
        return params**2


class NotANumber(Sound):
    def loss(self, params, problem, *, key):
        return jnp.log(-jnp.sum(params))


class SteepStart(Sound):
    def init(self, problem, *, key):
        return jnp.zeros(2)

    def loss(self, params, problem, *, key):
        return jnp.sum(jnp.sqrt(params))


class Integers(Sound):
    def init(self, problem, *, key):
        return jnp.ones(2, jnp.int32)


class Broken(Sound):
    def sample(self, *, key):
        raise KeyError("weights")


class Keyless(Sound):
    def loss(self, params, problem):
        return jnp.sum(params**2)


def test_a_sound_task_passes():
    check_task(Sound())


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Vector(), r"shape \(2,\)"),
        (NotANumber(), "the loss is nan"),
        (SteepStart(), "gradient is not finite"),
        (Integers(), "int32"),
        (Broken(), "sample fails: KeyError: 'weights'"),
        (Keyless(), "loss fails: TypeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_unsound_task_is_refused(task, words):
    with pytest.raises(InnerloopError, match=words):
        check_task(task)


def test_what_is_no_task_is_refused():
    with pytest.raises(InnerloopError, match="must be an instance"):
        check_task("quadratic")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Quadratic(0), "dimension is 0"),
        (lambda: MNIST(hidden=(0,)), "hidden"),
        (lambda: MNIST(activation="cosine"), "sigmoid, relu, tanh"),
        (lambda: MNIST(batch=0), "batch"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(InnerloopError, match=words):
        make()
