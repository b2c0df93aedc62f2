"""RNNprop sees gradients as Adam does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close
from innerloop import InnerloopError
from innerloop.rules import RNNpropRule


def travelled(gradients):
    rule = RNNpropRule(key=jax.random.key(0), hidden=6)
    state, steps = rule.init(gradients[0]), []
    for gradient in gradients:
        step, state = rule.update(gradient, state)
        steps.append(step)
    return jnp.stack(steps)


def test_the_losss_unit_does_not_matter():
    gradients = jax.random.normal(jax.random.key(1), (5, 4))
    # Five steps through two layers of twelve inputs.
    close(travelled(1000 * gradients), travelled(gradients), additions=200)


def test_steps_are_bounded_by_the_output_scale():
    gradients = 100 * jax.random.normal(jax.random.key(1), (5, 50))
    assert np.max(np.abs(travelled(gradients))) <= 0.1 * (1 + 1e-6)


def test_a_gradient_of_zero_is_no_trouble_to_second_order():
    rule = RNNpropRule(key=jax.random.key(0), hidden=6)

    def twice(gradient):
        step, state = rule.update(gradient, rule.init(gradient))
        return jnp.sum(rule.update(step + gradient, state)[0])

    assert np.all(np.isfinite(jax.grad(twice)(jnp.zeros(3))))


@pytest.mark.parametrize("settings", [{"hidden": 0}, {"depth": 0}, {"output_scale": -1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InnerloopError, match="must be"):
        RNNpropRule(key=jax.random.key(0), **settings)
