"""Training a small convolutional network on CIFAR-10 (Andrychowicz et al. 2016, Section 3.3)."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..datasets import load_cifar10
from ..datasets.cifar10 import SIDE
from ..errors import InnerloopError
from ..kernels.convolution import conv, max_pool, normalise
from ..registry import register
from ._base import TaskFamily
from .mnist import cross_entropy

Layer = dict[str, Float[Array, "..."]]
Params = dict[str, list[Layer]]


@register("cifar10")
@final
class CIFAR10(TaskFamily):
    """Cross-entropy (nats) of a small convolutional network on minibatches of CIFAR-10.

    Three layers of 3×3 convolutions, batch normalisation, ReLU and 2×2 max pooling; then 32 dense
    units, normalised and rectified too, and the classes. The paper names the layers and the 32
    units; filters, kernels and batch are ours. One problem is one run: its own initial weights
    (Gaussian, He's variance) and minibatches. Normalisation is by the statistics of the minibatch,
    for held-out images too.

    Parameters are {"conv": layers, "dense": layers}, each layer a dictionary of float32 arrays.
    `MultiRule` can give either kind a rule of its own.

    Args:
        labels: The classes that are used, two or more from 0 to 9: all ten are CIFAR-10, 0 to 4 are
            CIFAR-5, 0 and 1 are CIFAR-2.
        filters: Filters of each convolution.
        batch: Training images of a minibatch.
        held_out: Test images of the held-out loss, drawn at random.
        data_dir: A folder or file with the data, see `innerloop.datasets.load_cifar10`; None for
            INNERLOOP_DATA and the user's cache.

    Raises:
        InnerloopError: A setting is out of its range, or the data is neither here nor to be had.

    Example:
        >>> import innerloop
        >>> task = innerloop.CIFAR10(labels=(0, 1), filters=4)  # doctest: +SKIP

    References:
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Section 3.3.
    """

    one_by_one = True

    images: UInt8[Array, "images 32 32 3"]
    classes: UInt8[Array, " images"]
    test_images: UInt8[Array, "test_images 32 32 3"]
    test_classes: UInt8[Array, " test_images"]
    labels: tuple[int, ...] = eqx.field(static=True)
    filters: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    held_out: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        labels: tuple[int, ...] = tuple(range(10)),
        filters: int = 8,
        batch: int = 32,
        held_out: int = 1000,
        data_dir: str | Path | None = None,
    ):
        labels = tuple(labels) if isinstance(labels, (tuple, list)) else (labels,)
        if len(labels) < 2 or len(set(labels)) < len(labels) or not set(labels) <= set(range(10)):
            raise InnerloopError(
                f"labels is {labels}; it must be two or more different numbers from 0 to 9."
            )
        for name, size in {"filters": filters, "batch": batch, "held_out": held_out}.items():
            if not size >= 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        self.labels, self.filters, self.batch, self.held_out = labels, filters, batch, held_out
        data = load_cifar10(data_dir)
        self.images, self.classes = _only(data.train_images, data.train_labels, labels)
        self.test_images, self.test_classes = _only(data.test_images, data.test_labels, labels)

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> Params:
        keys = jax.random.split(key, 5)
        filters = self.filters

        def gaussian(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
            return jax.random.normal(key, shape) * np.sqrt(2 / np.prod(shape[1:]))

        def normalised(key: PRNGKeyArray, shape: tuple[int, ...]) -> Layer:
            outputs = shape[0]
            return {
                "weight": gaussian(key, shape),
                "scale": jnp.ones(outputs),
                "bias": jnp.zeros(outputs),
            }

        inputs = (3, filters, filters)
        left = (SIDE // 2 ** len(inputs)) ** 2 * filters
        last = {
            "weight": gaussian(keys[4], (len(self.labels), 32)),
            "bias": jnp.zeros(len(self.labels)),
        }
        return {
            "conv": [
                normalised(part, (filters, 3, 3, channels))
                for part, channels in zip(keys[:3], inputs, strict=True)
            ],
            "dense": [normalised(keys[3], (32, left)), last],
        }

    def loss(self, params: Params, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on(params, self.images, self.classes, self.batch, key)

    def held_out_loss(
        self, params: Params, problem: None, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self._on(params, self.test_images, self.test_classes, self.held_out, key)

    def _on(
        self,
        params: Params,
        images: UInt8[Array, "n 32 32 3"],
        classes: UInt8[Array, " n"],
        batch: int,
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        chosen = jax.random.randint(key, (batch,), 0, images.shape[0])
        units = images[chosen].transpose(3, 1, 2, 0).astype(jnp.float32) / 127.5 - 1
        for layer in params["conv"]:
            sums = normalise(conv(units, layer["weight"]), layer["scale"], layer["bias"])
            # Pooling commutes with ReLU, which then runs on a quarter of the units.
            units = jax.nn.relu(max_pool(sums))
        first, last = params["dense"]
        sums = first["weight"] @ units.reshape(-1, batch)
        units = jax.nn.relu(normalise(sums, first["scale"], first["bias"]))
        logits = last["weight"] @ units + last["bias"][:, None]
        return cross_entropy(logits.T, classes[chosen])


def _only(
    images: UInt8[np.ndarray, "n 32 32 3"], labels: UInt8[np.ndarray, " n"], wanted: tuple[int, ...]
) -> tuple[Array, Array]:
    """The images of the wanted classes, and each one's place among those."""
    places = np.full(10, 255, np.uint8)
    places[list(wanted)] = np.arange(len(wanted))
    found = places[labels]
    return jnp.asarray(images[found < 255]), jnp.asarray(found[found < 255])
