"""What holds for every task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import TASKS, close, double
from innerloop.tasks.check import check_task

# Their like is tested anyway: another network on the same images, or another transformer.
SLOW = {"cifar2", "mnist-family", "text-transformer"}


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TASKS]
)
def task(request, monkeypatch):
    return TASKS[request.param](monkeypatch)


def begin(task, key):
    sample_key, init_key, loss_key = jax.random.split(key, 3)
    problem = task.sample(key=sample_key)
    return task.init(problem, key=init_key), problem, loss_key


def test_passes_its_own_check(task):
    check_task(task)


def test_the_same_key_gives_the_same_loss_and_another_key_another(task, key):
    def loss(key):
        params, problem, loss_key = begin(task, key)
        return task.loss(params, problem, key=loss_key)

    once, again, other = (float(loss(k)) for k in (key, key, jax.random.key(1)))
    assert once == again
    assert once != other


def test_runs_under_vmap_as_alone(task, key):
    def loss(key):
        params, problem, loss_key = begin(task, key)
        return task.loss(params, problem, key=loss_key)

    keys = jax.random.split(key, 3)
    together = jax.jit(jax.vmap(loss))(keys)
    # A layer of 784 inputs, and the mean over the images.
    close(together, jnp.stack([loss(k) for k in keys]), additions=2000)


def test_gradient_agrees_with_finite_differences(float64, task, key):
    params, problem, loss_key = double(begin(task, key))
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    direction = jax.random.normal(key, flat.shape) / jnp.sqrt(flat.size)

    def along(distance):
        return task.loss(unravel(flat + distance * direction), problem, key=loss_key)

    step = 1e-5
    slope = (along(step) - along(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(along)(0.0), slope, rtol=1e-5, atol=1e-8)


def test_held_out_loss_is_a_finite_scalar_or_none(task, key):
    params, problem, loss_key = begin(task, key)
    held_out = task.held_out_loss(params, problem, key=loss_key)
    assert held_out is None or (held_out.shape == () and np.isfinite(held_out))
