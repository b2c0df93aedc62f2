"""The LSTM against an LSTM written out in NumPy, and its hand-written derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from helpers import lstm
from innerloop import InnerloopError, LSTMRule
from innerloop.rules.lstm import _gate


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("preprocessing", [None, 10.0])
def test_agrees_with_the_equations(key, preprocessing):
    rule = lstm(preprocessing=preprocessing, output_scale=0.3)
    gradients = np.asarray(jax.random.normal(key, (4, 3)), np.float64)
    state = rule.init_coordinates(3)
    h = [np.zeros((5, 3)) for _ in range(2)]
    c = [np.zeros((5, 3)) for _ in range(2)]
    for gradient in gradients:
        step, state = rule.update_coordinates(jax.numpy.asarray(gradient, "float32"), state)
        x = gradient[None]
        if preprocessing:
            x = np.stack([np.log(np.abs(gradient)) / preprocessing, np.sign(gradient)])
        for number, layer in enumerate(rule.layers):
            weight, bias = np.asarray(layer.weight, float), np.asarray(layer.bias, float)
            i, f, o, u = np.split(weight @ np.concatenate([x, h[number]]) + bias[:, None], 4)
            c[number] = sigmoid(f) * c[number] + sigmoid(i) * np.tanh(u)
            h[number] = x = sigmoid(o) * np.tanh(c[number])
        expected = np.asarray(rule.output_weight, float) @ x + np.asarray(rule.output_bias)[:, None]
        np.testing.assert_allclose(step, 0.3 * expected[0], rtol=1e-4, atol=1e-6)


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
    "settings", [{"hidden": 0}, {"depth": 0}, {"preprocessing": -1.0}, {"output_scale": 0.0}]
)
def test_settings_out_of_range_are_refused(key, settings):
    with pytest.raises(InnerloopError, match=next(iter(settings))):
        LSTMRule(key=key, **settings)
