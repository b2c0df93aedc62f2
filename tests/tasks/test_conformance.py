"""What holds for every task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import TASKS, close, double
from innerloop.tasks.check import check_task

# Their like is tested anyway: another network on the same images, or another transformer.
SLOW = {"cifar2", "mnist-family", "text-transformer"}
# What takes seconds to compile: `make test` checks these by `check_task` alone.
LARGE = {
    "cifar10", "communities", "convolution8", "mixture", "mnist-autoencoder", "mnist-convolution",
    "mnist-relu-20-20", "mnist-vae", "neural-art", "pendulum", "point-sets", "poisson",
    "teacher-student", "text-lstm", "tiny-transformer",
}  # fmt: skip


def some(names):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in names)) for name in TASKS]


@pytest.fixture(params=some(SLOW | LARGE))
def task(request, monkeypatch):
    return TASKS[request.param](monkeypatch)


def begin(task, key):
    sample_key, init_key, loss_key = jax.random.split(key, 3)
    problem = task.sample(key=sample_key)
    return task.init(problem, key=init_key), problem, loss_key


@pytest.mark.parametrize("name", some(SLOW))
def test_passes_its_own_check(name, monkeypatch):
    check_task(TASKS[name](monkeypatch))


def test_the_same_key_gives_the_same_loss_and_another_key_another(task, key):
    @jax.jit
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
    together, alone = jax.jit(jax.vmap(loss))(keys), jax.jit(loss)
    # A layer of 784 inputs, and the mean over the images.
    close(together, jnp.stack([alone(k) for k in keys]), additions=2000)


def test_gradient_agrees_with_finite_differences(float64, task, key):
    params, problem, loss_key = double(begin(task, key))
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    direction = jax.random.normal(key, flat.shape) / jnp.sqrt(flat.size)

    def along(distance):
        return task.loss(unravel(flat + distance * direction), problem, key=loss_key)

    step, along_and_slope = 1e-5, jax.jit(jax.value_and_grad(along))
    (above, _), (below, _) = along_and_slope(step), along_and_slope(-step)
    slope = (above - below) / (2 * step)
    np.testing.assert_allclose(along_and_slope(0.0)[1], slope, rtol=1e-5, atol=1e-8)


def test_held_out_loss_is_a_finite_scalar_or_none(task, key):
    params, problem, loss_key = begin(task, key)
    held_out = task.held_out_loss(params, problem, key=loss_key)
    assert held_out is None or (held_out.shape == () and np.isfinite(held_out))
