"""Tasks that cannot be trained on are refused with a sentence that says why."""

import dataclasses
import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from innerloop import (
    MNIST,
    InnerLoop,
    InnerloopError,
    OptaxRule,
    Quadratic,
    TaskFamily,
    unroll,
)
from innerloop.tasks import coordinates
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


class ToFloat(Sound):
    def loss(self, params, problem, *, key):
        return jnp.sum(params**2) * float(jnp.sum(params))


def test_an_error_of_a_users_loss_has_its_line_and_a_hint():
    line = inspect.getsourcelines(ToFloat.loss)[1] + 1
    with pytest.raises(InnerloopError, match=rf"\(test_check.py, line {line}\).*Leave float\(\)"):
        check_task(ToFloat())
    with pytest.raises(InnerloopError, match=r"'weights' \(test_check.py, line \d+\)$"):
        check_task(Broken())


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


class Model(eqx.Module):
    """As Equinox has them: arrays, a function and a number that is static."""

    weight: jax.Array
    activation: Any = jnp.tanh
    width: int = eqx.field(static=True, default=2)


@dataclasses.dataclass
class Record:
    weight: Any


class Returns(Sound):
    """A task whose `sample` and `init` return what they are told."""

    make: Any = eqx.field(static=True, default=lambda: jnp.ones(2))
    problem: Any = eqx.field(static=True, default=lambda: None)

    def sample(self, *, key):
        return self.problem()

    def init(self, problem, *, key):
        return self.make()

    def loss(self, params, problem, *, key):
        return sum(jnp.sum(jnp.asarray(leaf) ** 2) + leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Model(jnp.ones(2)), r"activation is the function tanh.*eqx\.filter\(model"),
        (lambda: Record(jnp.ones(2)), r"is a Record. Make its class an equinox.Module"),
        (lambda: {"w": jnp.ones(2), "e": jnp.zeros((0, 3))}, r"\['e'\] has the shape \(0, 3\)"),
        (lambda: {"w": jnp.ones(2), "name": "linear"}, r"\['name'\] is the text 'linear'"),
        (lambda: {"w": jnp.ones(2), "n": 3}, "float32, int32. What is not optimised belongs"),
        (lambda: jnp.ones(2, jnp.complex64), "returned complex64"),
        (dict, "it returned none"),
    ],
    ids=["model", "dataclass", "empty", "text", "integer", "complex", "nothing"],
)
def test_parameters_that_are_no_arrays_get_a_remedy(make, words):
    with pytest.raises(InnerloopError, match=words):
        check_task(Returns(make=make))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (lambda: {"x": jnp.ones(2), "name": "linear"}, r"problem\['name'\] is the text.*a field"),
        (lambda: Record(jnp.ones(2)), "is a Record"),
        (lambda: (jnp.ones(2), jnp.zeros(0)), r"problem\[1\] has the shape \(0,\)"),
        (lambda: np.asarray([None]), "sample fails: TypeError: .*object"),
    ],
    ids=["text", "dataclass", "empty", "objects"],
)
def test_problems_that_are_no_arrays_get_a_remedy(problem, words):
    with pytest.raises(InnerloopError, match=words):
        check_task(Returns(problem=problem))


class Auxiliary(Sound):
    def loss(self, params, problem, *, key):
        return jnp.sum(params**2), {"accuracy": 1.0}


def test_a_loss_with_auxiliary_values_gets_a_remedy():
    with pytest.raises(InnerloopError, match=r"returned tuple\. Return the loss alone"):
        check_task(Auxiliary())


@pytest.mark.parametrize(
    "make",
    [
        lambda: 0.0,
        lambda: {"w": jnp.ones(2), "bias": 0.0},
        lambda: np.ones(3),
        lambda: [np.float32(1.0), None],
        lambda: eqx.filter(Model(jnp.ones(2)), eqx.is_array),
    ],
    ids=["number", "number beside an array", "NumPy", "NumPy's number", "filtered model"],
)
def test_numbers_are_arrays_of_one(make):
    task, rule = Returns(make=make, problem=lambda: {"n": 3, "x": 0.5}), OptaxRule(optax.adam, 0.1)
    check_task(task)
    loop = InnerLoop.init(rule, task, jax.random.split(jax.random.key(0), 2))
    loop, losses = unroll(rule, task, loop, 3)
    assert losses.shape == (3, 2) and coordinates(task) >= 1
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((loop.params, loop.problem)))


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
