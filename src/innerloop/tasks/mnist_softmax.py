"""Softmax regression on MNIST: a convex problem on real data."""

from pathlib import Path
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count
from ._on_mnist import OnMNIST, digits
from .mnist import cross_entropy

Params = tuple[Float[Array, "pixels 10"], Float[Array, " 10"]]


@register("mnist-softmax")
@final
class MNISTSoftmax(OnMNIST):
    """Cross-entropy (nats) of softmax regression, with an L2 penalty, on minibatches of MNIST.

    The penalty ½ · 10⁻⁴ · ‖w‖² makes it strongly convex in the weights. Some pixels are always
    black, so that their gradients are the penalty's alone. Weights begin Gaussian with standard
    deviation 0.01, the bias at 0.

    Parameters are (weight [pixels, 10], bias [10]), float32.

    Args:
        batch: Training images of a minibatch.
        side: Height and width of the images, in pixels: 28, 14 or 7.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    def __init__(
        self,
        *,
        batch: Count = 128,
        side: Count = 28,
        data_dir: str | Path | None = None,
    ):
        self.data = digits(batch=batch, side=side, data_dir=data_dir)

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        return 0.01 * jax.random.normal(key, (self.data.side**2, 10)), jnp.zeros(10)

    def loss_of(
        self,
        params: Params,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        weight, bias = params
        return cross_entropy(images @ weight + bias, labels) + 0.5e-4 * jnp.sum(weight**2)
