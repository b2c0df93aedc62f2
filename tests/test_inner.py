"""The inner loop against a plain Python loop over an Optax optimizer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import RULES, sinusoid
from innerloop import InnerLoop, OptaxRule, Quadratic, TaskFamily, evaluate, unroll
from innerloop.runtime.devices import problem_mesh


@pytest.mark.parametrize("name", ["lstm", "adam"])
def test_equals_a_plain_loop(name, key):
    rule, task, keys = RULES[name](), sinusoid(), jax.random.split(key, 2)
    _, losses = unroll(rule, task, InnerLoop.init(rule, task, keys), 4)
    for problem_number, problem_key in enumerate(keys):
        sample_key, init_key, loss_key = jax.random.split(problem_key, 3)
        problem = task.sample(key=sample_key)
        params = task.init(problem, key=init_key)
        optimizer = rule.as_optax()
        state = optimizer.init(params)
        for step in range(5):
            step_key = jax.random.fold_in(loss_key, step)
            loss, grads = jax.value_and_grad(task.loss)(params, problem, key=step_key)
            if step:
                np.testing.assert_allclose(losses[step - 1, problem_number], loss, rtol=1e-4)
            updates, state = optimizer.update(grads, state, params, value=loss)
            params = optax.apply_updates(params, updates)


@pytest.mark.parametrize("name", ["lstm", "adam"])
def test_two_windows_are_one_twice_as_long(name, key):
    rule, task = RULES[name](), sinusoid()
    loop = InnerLoop.init(rule, task, jax.random.split(key, 3))
    half, first = unroll(rule, task, loop, 3)
    after, second = unroll(rule, task, half, 3)
    whole, losses = unroll(rule, task, loop, 6)
    np.testing.assert_allclose(jnp.concatenate([first, second]), losses, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after.params, whole.params, rtol=1e-4, atol=1e-6)
    assert after.step.tolist() == [6, 6, 6]


def test_the_number_of_devices_changes_nothing_but_rounding(key):
    rule, task = RULES["lstm"](), Quadratic()
    one, two = (
        evaluate(rule, task, key=key, problems=6, marks=(5, 8), mesh=problem_mesh(6, devices))
        for devices in (1, 2)
    )
    assert one.losses.shape == (9, 6) and one.held_out is None
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-5)


def test_a_mesh_takes_as_many_devices_as_divide_the_problems():
    assert problem_mesh(6).size == 2
    assert problem_mesh(7).size == 1


class Slope(TaskFamily):
    """A noisy slope of a random steepness, from a random place, with a held-out loss."""

    def sample(self, *, key):
        return jax.random.normal(key, ())

    def init(self, problem, *, key):
        return jax.random.normal(key, (2,))

    def loss(self, params, problem, *, key):
        return jnp.sum(params * problem) + jax.random.normal(key, ())

    def held_out_loss(self, params, problem, *, key):
        return self.loss(params, problem, key=key)


class Alone(Slope):
    one_by_one = True


@pytest.mark.parametrize("problems", [1, 3])
def test_problems_that_run_one_by_one_come_out_alike(key, problems):
    together, alone = (
        evaluate(OptaxRule(optax.adam, 0.1), task, key=key, problems=problems, marks=(2, 5))
        for task in (Slope(), Alone())
    )
    assert together.losses.shape == (6, problems) and together.held_out.shape == (2, problems)
    np.testing.assert_allclose(alone.losses, together.losses, rtol=1e-5)
    np.testing.assert_allclose(alone.held_out, together.held_out, rtol=1e-5)


@jax.custom_jvp
def once(slope):
    """The slope, which may not be differentiated."""
    return slope


@once.defjvp
def _refuse(primals, tangents):
    raise AssertionError("A gradient was differentiated.")


@jax.custom_vjp
def bowl(params):
    return jnp.sum(params**2)


bowl.defvjp(lambda params: (bowl(params), params), lambda params, pull: (pull * once(2 * params),))


class Bowl(TaskFamily):
    def sample(self, *, key):
        return jnp.zeros(())

    def init(self, problem, *, key):
        return jax.random.normal(key, (2,))

    def loss(self, params, problem, *, key):
        return bowl(params)


class BowlAlone(Bowl):
    one_by_one = True


@pytest.mark.parametrize("task", [Bowl(), BowlAlone()])
def test_to_first_order_nothing_is_differentiated_twice(key, task):
    rule = OptaxRule(optax.sgd, 0.1)
    loop = InnerLoop.init(rule, task, jax.random.split(key, 2))

    def reached(rate, params, second_order):
        mine = OptaxRule(optax.sgd, rate)
        begun = dataclasses.replace(loop, params=params)
        after, losses = unroll(mine, task, begun, 2, second_order=second_order)
        return jnp.sum(losses) + jnp.sum(after.params)

    gradient = jax.jit(jax.grad(reached, argnums=(0, 1)), static_argnums=2)
    slopes = gradient(jnp.asarray(0.1), loop.params, False)
    assert all(np.all(slope != 0) for slope in slopes)
    with pytest.raises(AssertionError, match="was differentiated"):
        gradient(jnp.asarray(0.1), loop.params, True)
