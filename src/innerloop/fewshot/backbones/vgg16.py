"""VGG16's thirteen convolutions as an embedding."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ...errors import InnerloopError
from ._base import Backbone, Params, Statistics

_FACTORS = (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8)
"""Filters of each convolution, in multiples of the first one's."""
_POOL_BEFORE = (2, 4, 7, 10)  # Convolutions, from 0, that a pooling precedes.
_MEAN = np.asarray([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.asarray([0.229, 0.224, 0.225], np.float32)
_EPSILON = 1e-6  # The square root has no slope at 0.


@final
class VGG16(Backbone):
    """The convolutions of VGG16; a feature is the square root of a filter's mean over positions.

    The filters are those of the last convolution, conv5_3. The square root keeps few strong
    filters from outweighing all others. Nothing is normalised, so there are no statistics.

    Parameters are {"conv1": …, …, "conv13": …}, each with `kernel` [3, 3, inputs, filters] and
    `bias` [filters]; all float32.

    Args:
        side: Height and width of the images, in pixels: at least 16, for four poolings.
        channels: Channels of the images, 3.
        filters: Filters of the first convolution; the last five have eight times as many. VGG16
            has 64.

    Raises:
        InnerloopError: The images are too small or not RGB, or a number is not positive.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.VGG16(side=128, channels=3).width
        512

    References:
        Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition"
        (2015, arXiv:1409.1556).
    """

    filters: int = eqx.field(static=True)

    def __init__(self, *, side: int, channels: int, filters: int = 64):
        if channels != 3:
            raise InnerloopError(f"channels is {channels}; VGG16 takes RGB images, of 3.")
        if side < 16:
            raise InnerloopError(f"side is {side}; 4 poolings need at least 16 pixels.")
        if filters < 1:
            raise InnerloopError(f"filters is {filters}; it must be at least 1.")
        self.side, self.channels, self.filters = side, channels, filters

    @property
    def width(self) -> int:
        return self.filters * _FACTORS[-1]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"conv{number + 1}" for number in range(len(_FACTORS)))

    def init(self, *, key: PRNGKeyArray) -> Params:
        """Gaussian kernels with He's variance, and biases of 0."""
        params: Params = {}
        keys = jax.random.split(key, len(_FACTORS))
        inputs = self.channels
        for name, layer_key, factor in zip(self.layers, keys, _FACTORS, strict=True):
            filters = factor * self.filters
            kernel = jax.random.normal(layer_key, (3, 3, inputs, filters))
            params[name] = {
                "kernel": kernel * np.sqrt(2 / (9 * inputs)),
                "bias": jnp.zeros(filters),
            }
            inputs = filters
        return params

    def features(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n width"], Statistics]:
        units = (images.astype(jnp.float32) / 255 - _MEAN) / _DEVIATION
        for number, name in enumerate(self.layers):
            if number in _POOL_BEFORE:
                units = _max_pool(units)
            units = _convolve(units, params[name]["kernel"]) + params[name]["bias"]
            units = jax.nn.relu(units)
        return jnp.sqrt(jnp.mean(units, (1, 2)) + _EPSILON), {}


def _convolve(
    images: Float[Array, "n height width channels"], kernel: Float[Array, "3 3 channels filters"]
) -> Float[Array, "n height width filters"]:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)


def _max_pool(images: Float[Array, "n height width channels"]) -> Float[Array, "n _ _ channels"]:
    """The largest of each 2×2 square; an odd row or column at the end is left out."""
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, window, window, "VALID")
