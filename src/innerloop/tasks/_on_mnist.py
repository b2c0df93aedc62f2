"""What the tasks that train a network on minibatches of MNIST share."""

import abc
import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, UInt8

from ._base import TaskFamily
from .images8 import gaussian
from .mnist import MNIST, Layers


class OnMNIST(TaskFamily):
    """A loss of images and labels, on minibatches of MNIST.

    One problem is one run: its own initial weights and minibatches. Grey values are 0 … 1. The
    held-out loss is that of the 10,000 test images.
    """

    data: MNIST

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    @abc.abstractmethod
    def loss_of(
        self,
        params: PyTree,
        images: Float[Array, "n pixels"],
        labels: UInt8[Array, " n"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        """The mean loss of these images; `key` draws whatever noise the loss has of its own."""

    def loss(self, params: PyTree, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        chosen_key, noise_key = jax.random.split(key)
        images, labels = self.data.minibatch(self.data.batch, chosen_key)
        return self.loss_of(params, images, labels, noise_key)

    def held_out_loss(
        self, params: PyTree, problem: None, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        images = self.data.test_images.astype(jnp.float32) / 255
        return self.loss_of(params, images, self.data.test_labels, key)


def digits(*, batch: int, side: int, data_dir: str | Path | None) -> MNIST:
    """MNIST in minibatches of `batch` images of `side`×`side` pixels.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """
    return MNIST(batch=batch, side=side, data_dir=data_dir)


def dense(key: PRNGKeyArray, widths: tuple[int, ...], *, gain: float = 1.0) -> Layers:
    """Layers from each width to the next: Gaussian weights of He's variance, biases 0.

    Args:
        key: Draws the weights.
        widths: Of the input, the hidden layers and the output.
        gain: A factor of the weights; √½ is what suits tanh.
    """
    keys = jax.random.split(key, len(widths) - 1)
    return [
        (gain * gaussian(each, pair), jnp.zeros(pair[1]))
        for each, pair in zip(keys, itertools.pairwise(widths), strict=True)
    ]


def through(
    layers: Layers, units: Float[Array, "n inputs"], activation: Callable[[Array], Array]
) -> Float[Array, "n outputs"]:
    """The output of dense layers, with the activation between them."""
    *hidden, (weight, bias) = layers
    for layer_weight, layer_bias in hidden:
        units = activation(units @ layer_weight + layer_bias)
    return units @ weight + bias


def normalised(units: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
    """Each example's units with mean 0 and variance 1."""
    centred = units - jnp.mean(units, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
