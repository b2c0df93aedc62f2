"""Winograd's convolution against XLA's own."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from helpers import close
from innerloop.kernels.winograd import convolve

pytestmark = pytest.mark.usefixtures("float64")

# Less than a thousand, to second order too: a relative error of 2e-13.
ADDITIONS = 1000
LAYOUT = ("NHWC", "OHWI", "NHWC")


def theirs(image, kernel):
    return lax.conv_general_dilated(image[None], kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)[
        0
    ]


@pytest.fixture(params=[(8, 6, 3, 5), (5, 7, 4, 2), (1, 2, 1, 1), (1, 1, 2, 3)])
def convolved(request, key):
    """An image, a kernel, and what is pulled at."""
    height, width, channels, filters = request.param
    shapes = [(height, width, channels), (filters, 3, 3, channels), (height, width, filters)]
    return [
        jax.random.normal(each, shape)
        for each, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def test_units_and_gradients_are_xlas_own(convolved):
    image, kernel, pull = convolved

    def both(function):
        def run(image, kernel):
            units, back = jax.vjp(function, image, kernel)
            return units, back(pull)

        return jax.jit(run)(image, kernel)

    close(both(convolve), both(theirs), additions=ADDITIONS)


def test_second_derivatives_are_xlas_own(convolved):
    image, kernel, pull = convolved

    def slope(function):
        def loss(image, kernel):
            return jnp.sum(jnp.sin(function(image, kernel)) * pull)

        def steepness(image, kernel):
            return sum(jnp.sum(part**2) for part in jax.grad(loss, (0, 1))(image, kernel))

        return jax.jit(jax.grad(steepness, (0, 1)))(image, kernel)

    close(slope(convolve), slope(theirs), additions=ADDITIONS)


def test_a_batch_of_images_is_one_after_another(convolved):
    image, kernel, _ = convolved
    images = jnp.stack([image, -2 * image])
    apart = jnp.stack([convolve(each, kernel) for each in images])
    close(jax.vmap(convolve, (0, None))(images, kernel), apart, additions=ADDITIONS)
