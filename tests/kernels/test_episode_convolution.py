"""Convolution and pooling chunk by chunk, for CPU caches, against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from innerloop.kernels import episode_convolution as kernels
from innerloop.kernels.episode_convolution import convolve_and_pool

LAYOUT = ("NHWC", "OHWI", "NHWC")


def theirs(images, kernel, sign):
    """What `convolve_and_pool` does, by XLA's convolution and pooling."""
    units = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)
    window = (1, 2, 2, 1)
    largest = lax.reduce_window(units * sign, -jnp.inf, lax.max, window, window, "VALID")
    return largest, (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))


@pytest.fixture(params=[(2, 3), (9, 3), (1, 12)], ids=["few", "many", "one"])
def convolved(request, key):
    """Images of so many channels, a kernel of so many filters, their signs, and what is pulled.

    The height of 5 leaves out a row.
    """
    channels, filters = request.param
    shapes = [
        (6, 5, 4, channels),
        (filters, 3, 3, channels),
        (6, 2, 2, filters),
        (filters,),
        (filters,),
    ]
    images, kernel, *pull = (
        jax.random.normal(each, shape)
        for each, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    )
    sign = jnp.resize(jnp.asarray([1.0, -1.0, 1.0]), filters)
    return images, kernel, sign, (pull[0], (pull[1], pull[2]))


@pytest.mark.parametrize("count", [1, 5, 6])
@pytest.mark.parametrize("chunk", [0, 1, 4, None])
def test_a_convolution_is_xlas_own(monkeypatch, convolved, count, chunk):
    images, kernel, sign, (to_largest, to_moments) = convolved
    if chunk is not None:
        monkeypatch.setattr(kernels, "CHUNK_NUMBERS", chunk * 9 * images[0].size)
    pull = (to_largest[:count], to_moments)

    @jax.jit
    def both(images, kernel):
        found, back = jax.vjp(lambda *inputs: convolve_and_pool(*inputs, sign), images, kernel)
        expected, their_back = jax.vjp(lambda *inputs: theirs(*inputs, sign), images, kernel)
        return (found, back(pull)), (expected, their_back(pull))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        *both(images[:count], kernel),
    )


def test_its_second_derivatives_are_xlas_own_too(convolved):
    images, kernel, sign, pull = convolved

    def slope(function):
        def loss(kernel):
            found = function(images, kernel, sign)
            return sum(
                jnp.sum(jnp.sin(leaf) * weight)
                for leaf, weight in zip(jax.tree.leaves(found), jax.tree.leaves(pull), strict=True)
            )

        return jax.grad(lambda kernel: jnp.sum(jax.grad(loss)(kernel) ** 2))

    # In float64: in float32 what two orders of sums differ by depends on the processor.
    with jax.enable_x64(True):
        images, kernel, sign, pull = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.float64), (images, kernel, sign, pull)
        )
        ours, other = (jax.jit(slope(each))(kernel) for each in (convolve_and_pool, theirs))
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-9)


def test_units_that_are_equal_share_the_gradient():
    """Where an image is blank, all units of a square are the largest."""
    images, kernel = jnp.ones((1, 6, 6, 1)), jnp.ones((1, 3, 3, 1))

    def middle(images):
        return convolve_and_pool(images, kernel, jnp.ones(1))[0][0, 1, 1, 0]

    # Each of the four has a quarter: the pixels that all of them see get 1, the corners a quarter.
    shares = jax.grad(middle)(images)[0, :, :, 0]
    expected = np.outer([0.5, 1, 1, 0.5], [0.5, 1, 1, 0.5])
    np.testing.assert_allclose(shares[1:5, 1:5], expected)
