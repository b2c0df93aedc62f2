"""The LSTM against an LSTM written out in NumPy, and its hand-written derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from helpers import close, double, lstm
from innerloop import InnerloopError, LSTMRule
from innerloop.rules.lstm import _gate


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("preprocessing", [None, 10.0])
def test_agrees_with_the_equations(float64, key, preprocessing):
    rule = double(lstm(preprocessing=preprocessing, output_scale=0.3))
    gradients = np.asarray(jax.random.normal(key, (4, 3)))
    state = rule.init_coordinates(3)
    h = [np.zeros((5, 3)) for _ in range(2)]
    c = [np.zeros((5, 3)) for _ in range(2)]
    for gradient in gradients:
        step, state = rule.update_coordinates(jnp.asarray(gradient), state)
        x = gradient[None]
        if preprocessing:
            x = np.stack([np.log(np.abs(gradient)) / preprocessing, np.sign(gradient)])
        for number, layer in enumerate(rule.layers):
            weight, bias = np.asarray(layer.weight, float), np.asarray(layer.bias, float)
            i, f, o, u = np.split(weight @ np.concatenate([x, h[number]]) + bias[:, None], 4)
            c[number] = sigmoid(f) * c[number] + sigmoid(i) * np.tanh(u)
            h[number] = x = sigmoid(o) * np.tanh(c[number])
        expected = np.asarray(rule.output_weight, float) @ x + np.asarray(rule.output_bias)[:, None]
        close(step, 0.3 * expected[0], additions=200)


def test_the_gates_derivative_agrees_with_finite_differences(key):
    with jax.enable_x64(True):
        gates = jax.random.normal(key, (12, 4), "float64")
        cell = jax.random.normal(jax.random.key(1), (3, 4), "float64")
        check_grads(
            lambda *inputs: _gate(*map(jnp.asarray, inputs)),
            (gates, cell),
            order=1,
            modes=["rev"],
            rtol=1e-6,
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": 0},
        {"depth": 0},
        {"preprocessing": -1.0},
        {"output_scale": 0.0},
        {"state_dtype": "float16"},
    ],
)
def test_settings_out_of_range_are_refused(key, settings):
    with pytest.raises(InnerloopError, match=next(iter(settings))):
        LSTMRule(key=key, **settings)


def test_a_state_in_half_precision_is_half_as_large_and_nearly_the_same(key):
    gradients = jax.random.normal(key, (30, 50))
    steps, sizes = [], []
    for state_dtype in (None, "bfloat16"):
        rule = lstm(output_scale=1.0, state_dtype=state_dtype)
        state = rule.init_coordinates(50)
        sizes.append(sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
        kept = [leaf.dtype for leaf in jax.tree.leaves(state)]
        for gradient in gradients:
            step, state = rule.update_coordinates(gradient, state)
        assert [leaf.dtype for leaf in jax.tree.leaves(state)] == kept
        steps.append(step)
    assert sizes[1] * 2 == sizes[0] and steps[1].dtype == jnp.float32
    error = jnp.linalg.norm(steps[1] - steps[0]) / jnp.linalg.norm(steps[0])
    assert 0 < error < 0.01
