"""An autoencoder of MNIST digits."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count, Positive, check_value
from ._on_mnist import OnMNIST, dense, digits, through
from .mnist import Layers


@register("mnist-autoencoder")
@final
class MNISTAutoencoder(OnMNIST):
    """Mean squared error of grey values (0 … 1) that pass through a narrow layer.

    Hidden units are ReLU, outputs sigmoid. Weights are Gaussian with He's variance, biases 0.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for each layer, float32.

    Args:
        hidden: Units of each hidden layer, the narrow one among them.
        gain: A factor of the initial weights.
        batch: Training images of a minibatch.
        side: Height and width of the images, in pixels: 28, 14 or 7.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    hidden: tuple[int, ...] = eqx.field(static=True)
    gain: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        hidden: tuple[Count, ...] = (64, 16, 64),
        gain: Positive = 1.0,
        batch: Count = 64,
        side: Count = 14,
        data_dir: str | Path | None = None,
    ):
        check_value("hidden", hidden, tuple[Count, ...])
        check_value("gain", gain, Positive)
        self.hidden, self.gain = hidden, gain
        self.data = digits(batch=batch, side=side, data_dir=data_dir)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Layers:
        pixels = self.data.side**2
        return dense(key, (pixels, *self.hidden, pixels), gain=self.gain)

    def loss_of(
        self,
        params: Layers,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        return jnp.mean((jax.nn.sigmoid(through(params, images, jax.nn.relu)) - images) ** 2)
