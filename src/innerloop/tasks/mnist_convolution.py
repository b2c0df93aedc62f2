"""A small convolutional network on MNIST."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count, check_value
from ._on_mnist import OnMNIST, digits
from .convolution8 import Layers, convolved
from .images8 import gaussian
from .mnist import cross_entropy


@register("mnist-convolution")
@final
class MNISTConvolution(OnMNIST):
    """Cross-entropy (nats) of two convolutions and a dense layer on minibatches of MNIST.

    The convolutions have 3×3 kernels, stride 2, zeros around the image and ReLU. Weights are
    Gaussian with He's variance, biases 0.

    Parameters are a list with (kernel [3, 3, inputs, outputs], bias [outputs]) for both
    convolutions and (weight [inputs, outputs], bias [outputs]) for the dense layer, float32.

    Args:
        filters: Outputs of the first convolution; the second has twice as many.
        batch: Training images of a minibatch.
        side: Height and width of the images, in pixels: 28, 14 or 7.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    filters: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        filters: Count = 8,
        batch: Count = 64,
        side: Count = 14,
        data_dir: str | Path | None = None,
    ):
        check_value("filters", filters, Count)
        self.filters = filters
        self.data = digits(batch=batch, side=side, data_dir=data_dir)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Layers:
        left = -(-self.data.side // 4)  # After two strides of 2.
        shapes = (
            (3, 3, 1, self.filters),
            (3, 3, self.filters, 2 * self.filters),
            (left * left * 2 * self.filters, 10),
        )
        keys = jax.random.split(key, len(shapes))
        return [
            (gaussian(each, shape), jnp.zeros(shape[-1]))
            for each, shape in zip(keys, shapes, strict=True)
        ]

    def loss_of(
        self,
        params: Layers,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        count, side = len(images), self.data.side
        units = images.reshape(count, side, side, 1)
        *convolutions, (weight, bias) = params
        for kernel, kernel_bias in convolutions:
            units = jax.nn.relu(convolved(units, kernel) + kernel_bias)
        return cross_entropy(units.reshape(count, -1) @ weight + bias, labels)
