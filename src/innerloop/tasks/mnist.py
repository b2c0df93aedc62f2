"""Training a small classifier of MNIST digits (Andrychowicz et al. 2016, Section 3.2)."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..datasets import load_mnist
from ..errors import InnerloopError
from ..registry import register
from ._base import TaskFamily

Layers = list[tuple[Float[Array, "_ _"], Float[Array, " _"]]]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
}


@register("mnist")
@final
class MNIST(TaskFamily):
    """Cross-entropy (nats) of a multilayer perceptron on minibatches of MNIST.

    One problem is one run: its own initial weights and its own order of minibatches. The defaults
    are the paper's base network. Weights and biases start as iid Gaussians. In meta-training an
    unroll is judged by fresh, larger minibatches, whose slope is less noisy. The held-out loss is
    that of the 10,000 test images.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for each layer, float32.

    Args:
        hidden: Units of each hidden layer, 1 or more each.
        activation: Of the hidden units: "sigmoid", "relu" or "tanh".
        batch: Training images of a minibatch.
        meta_batch: Training images of the minibatches that an unroll is judged by in meta-training.
        side: Height and width of the images, in pixels: 28, 14 or 7. Smaller ones are averaged.
        init_scale: Standard deviation of the initial weights and biases; 0.01 in the authors' code.
        data_dir: A folder with the data, see `innerloop.datasets.load_mnist`; None for
            INNERLOOP_DATA and the user's cache.

    Raises:
        InnerloopError: A setting is out of its range, or the data is neither here nor to be had.

    Example:
        >>> import innerloop
        >>> task = innerloop.MNIST(hidden=(20, 20), activation="relu")  # doctest: +SKIP

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Section 3.2.
    """

    images: UInt8[Array, "images pixels"]
    labels: UInt8[Array, " images"]
    test_images: UInt8[Array, "test_images pixels"]
    test_labels: UInt8[Array, " test_images"]
    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    meta_batch: int = eqx.field(static=True)
    side: int = eqx.field(static=True)
    init_scale: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (20,),
        activation: str = "sigmoid",
        batch: int = 128,
        meta_batch: int = 512,
        side: int = 28,
        init_scale: float = 0.01,
        data_dir: str | Path | None = None,
    ):
        self.hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        if not all(isinstance(width, int) and width >= 1 for width in self.hidden):
            raise InnerloopError(
                f"hidden is {hidden}; it must be widths of at least 1: 20 or 20,20."
            )
        if activation not in ACTIVATIONS:
            names = ", ".join(ACTIVATIONS)
            raise InnerloopError(f"activation is '{activation}'; it must be one of {names}.")
        for name, size in {
            "batch": batch,
            "meta_batch": meta_batch,
            "init_scale": init_scale,
        }.items():
            if not size > 0:
                raise InnerloopError(f"{name} is {size}; it must be positive.")
        self.activation, self.init_scale = activation, init_scale
        self.batch, self.meta_batch = batch, meta_batch
        if side not in (28, 14, 7):
            raise InnerloopError(f"side is {side}; it must be 28, 14 or 7.")
        self.side = side
        data = load_mnist(data_dir)
        self.images = jnp.asarray(_shrunk(data.train_images, side))
        self.labels = jnp.asarray(data.train_labels)
        self.test_images = jnp.asarray(_shrunk(data.test_images, side))
        self.test_labels = jnp.asarray(data.test_labels)

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> Layers:
        widths = [self.images.shape[1], *self.hidden, 10]
        layers: Layers = []
        for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            weight_key, bias_key = jax.random.split(jax.random.fold_in(key, number))
            weight = self.init_scale * jax.random.normal(weight_key, (inputs, outputs))
            layers.append((weight, self.init_scale * jax.random.normal(bias_key, (outputs,))))
        return layers

    def loss(self, params: Layers, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on_minibatch(params, self.batch, key)

    def meta_loss(self, params: Layers, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on_minibatch(params, self.meta_batch, key)

    def held_out_loss(
        self, params: Layers, problem: None, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        images = self.test_images.astype(jnp.float32) / 255
        return cross_entropy(self._logits(params, images), self.test_labels)

    def minibatch(
        self, size: int, key: PRNGKeyArray
    ) -> tuple[Float[Array, "size pixels"], UInt8[Array, " size"]]:
        """Training images drawn with replacement, grey values 0 … 1, and their labels."""
        chosen = jax.random.randint(key, (size,), 0, self.images.shape[0])
        return self.images[chosen].astype(jnp.float32) / 255, self.labels[chosen]

    def _on_minibatch(self, params: Layers, batch: int, key: PRNGKeyArray) -> Float[Array, ""]:
        images, labels = self.minibatch(batch, key)
        return cross_entropy(self._logits(params, images), labels)

    def _logits(self, params: Layers, units: Float[Array, "n pixels"]) -> Float[Array, "n 10"]:
        *hidden, (weight, bias) = params
        for layer_weight, layer_bias in hidden:
            units = ACTIVATIONS[self.activation](units @ layer_weight + layer_bias)
        return units @ weight + bias


def cross_entropy(logits: Float[Array, "n classes"], labels: UInt8[Array, " n"]) -> Array:
    """The mean cross-entropy in nats."""
    integers = labels.astype(jnp.int32)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, integers))


def _shrunk(
    images: UInt8[np.ndarray, "images 28 28"], side: int
) -> UInt8[np.ndarray, "images pixels"]:
    """The images flattened, each pixel the mean of a square of 28 / side pixels a side."""
    square = 28 // side
    blocks = images.reshape(len(images), side, square, side, square)
    means = blocks.mean(axis=(2, 4), dtype=np.float32)
    return np.round(means).astype(np.uint8).reshape(len(images), -1)
