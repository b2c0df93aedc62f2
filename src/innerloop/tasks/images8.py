"""Small classifiers of grey images of 8×8 pixels, from several datasets."""

import itertools
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..datasets.grey8 import CLASSES, SIDE, load_grey8
from ..errors import SettingsError
from ..registry import register
from ..runtime.settings import Count, check_value
from ._base import TaskFamily
from .mnist import Layers, cross_entropy

SOURCES = ("mnist", "omniglot", "cifar10", "miniimagenet")


class Grey8Pixels(eqx.Module):
    """The images of several datasets, whose pixels have mean 0 and variance 1 in each."""

    images: UInt8[Array, "sources images pixels"]
    labels: UInt8[Array, "sources images"]
    mean: Float[Array, " sources"]
    deviation: Float[Array, " sources"]

    def __init__(self, sources: tuple[str, ...], data_dir: str | Path | None = None):
        if not sources:
            raise SettingsError("sources", sources, f"one or more of {', '.join(SOURCES)}")
        data = [load_grey8(source, data_dir) for source in sources]
        images = np.stack([each.images.reshape(len(each.images), -1) for each in data])
        self.images = jnp.asarray(images)
        self.labels = jnp.asarray(np.stack([each.labels for each in data]))
        self.mean = jnp.asarray(images.mean(axis=(1, 2), dtype=np.float32))
        self.deviation = jnp.asarray(images.astype(np.float32).std(axis=(1, 2)))

    def minibatch(
        self, source: Int[Array, ""], size: int, key: PRNGKeyArray
    ) -> tuple[Float[Array, "size pixels"], UInt8[Array, " size"]]:
        """Images of a source, drawn with replacement, and their classes."""
        chosen = jax.random.randint(key, (size,), 0, self.images.shape[1])
        pixels = self.images[source, chosen].astype(jnp.float32)
        return (pixels - self.mean[source]) / self.deviation[source], self.labels[source, chosen]


@register("images8")
@final
class Images8(TaskFamily):
    """Cross-entropy (nats) of a multilayer perceptron on grey images of 8×8 pixels.

    A problem is a dataset, drawn from `sources` with equal chances, with initial weights and an
    order of minibatches of its own. Weights are Gaussian with He's variance, biases 0; units are
    ReLU. With images of 8×8 pixels a step takes a fraction of a millisecond, as in the
    meta-training of Moudgil et al. (2025, arXiv:2501.12670).

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for each layer, float32.

    Args:
        sources: Datasets: mnist, omniglot, cifar10, miniimagenet; see
            `innerloop.datasets.grey8.load_grey8`.
        hidden: Units of each hidden layer.
        batch: Images in a minibatch.
        data_dir: The folder that holds the data.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    data: Grey8Pixels
    sources: tuple[str, ...] = eqx.field(static=True)
    hidden: tuple[int, ...] = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        sources: tuple[str, ...] = SOURCES,
        hidden: tuple[Count, ...] = (32,),
        batch: Count = 64,
        data_dir: str | Path | None = None,
    ):
        check_value("hidden", hidden, tuple[Count, ...])
        check_value("batch", batch, Count)
        self.sources, self.hidden, self.batch = sources, hidden, batch
        self.data = Grey8Pixels(sources, data_dir)

    def sample(self, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The place of the problem's dataset among the sources."""
        return jax.random.randint(key, (), 0, len(self.sources))

    def init(self, problem: Int[Array, ""], *, key: PRNGKeyArray) -> Layers:
        widths = [SIDE * SIDE, *self.hidden, CLASSES]
        keys = jax.random.split(key, len(widths) - 1)
        return [
            (gaussian(each, (inputs, outputs)), jnp.zeros(outputs))
            for each, (inputs, outputs) in zip(keys, itertools.pairwise(widths), strict=True)
        ]

    def loss(
        self, params: Layers, problem: Int[Array, ""], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        units, labels = self.data.minibatch(problem, self.batch, key)
        *hidden, (weight, bias) = params
        for layer_weight, layer_bias in hidden:
            units = jax.nn.relu(units @ layer_weight + layer_bias)
        return cross_entropy(units @ weight + bias, labels)


def gaussian(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Weights of He's variance: 2 over the product of all axes but the last."""
    return jax.random.normal(key, shape) * np.sqrt(2 / np.prod(shape[:-1]))
