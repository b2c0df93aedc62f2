"""The two branches of Appendix A's preprocessing, and the seam between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import close
from innerloop.rules.preprocess import log_and_sign


@pytest.mark.parametrize("p", [5.0, 10.0])
def test_large_gradients_give_log_and_sign(p):
    features = log_and_sign(jnp.asarray([2.0, -0.5]), p)
    close(features, np.asarray([[np.log(2) / p, np.log(0.5) / p], [1, -1]]), additions=8)


@pytest.mark.parametrize("p", [5.0, 10.0])
def test_small_gradients_give_minus_one_and_a_scaled_value(p):
    small = np.exp(-p) * np.array([0.5, -0.25, 0.0])
    features = log_and_sign(jnp.asarray(small, jnp.float32), p)
    close(features, np.asarray([[-1, -1, -1], [0.5, -0.25, 0]]), additions=8)


@pytest.mark.parametrize("p", [1.0, 5.0, 10.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_both_features_are_continuous_at_the_threshold(p, sign):
    threshold = sign * np.exp(-p)
    around = jnp.asarray([threshold * (1 - 1e-5), threshold, threshold * (1 + 1e-5)])
    features = log_and_sign(around, p)
    np.testing.assert_allclose(features, [[-1] * 3, [sign] * 3], atol=2e-5)


@settings(deadline=None, max_examples=40)
@given(st.floats(-(2.0**100), 2.0**100, width=32), st.floats(0.5, 20))
def test_features_stay_bounded_and_odd(gradient, p):
    value = jnp.asarray(gradient, jnp.float32)
    log, sign = log_and_sign(value, p)
    assert -1 - 1e-5 <= float(log) <= 71 / p and -1 - 1e-5 <= float(sign) <= 1 + 1e-5
    mirrored = log_and_sign(-value, p)
    assert float(mirrored[0]) == float(log) and float(mirrored[1]) == -float(sign)


def test_derivatives_are_finite_at_zero():
    slopes = jax.jacobian(lambda g: log_and_sign(g, 10.0))(jnp.asarray(0.0))
    assert np.all(np.isfinite(slopes))
