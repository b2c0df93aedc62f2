"""Problems by which checkpoints of the general rule are chosen: no rule is trained on them.

They are larger than those of its training, and are in no suite of `innerloop benchmark`.
"""

import itertools
import pydoc_data.topics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from innerloop import TaskFamily
from innerloop.datasets.grey8 import CLASSES, load_grey8
from innerloop.datasets.text import SYMBOLS
from innerloop.tasks.convolution8 import convolved
from innerloop.tasks.images8 import gaussian
from innerloop.tasks.mnist import cross_entropy
from innerloop.tasks.random_projection import RandomProjection
from innerloop.tasks.text_transformer import TextTransformer

SIDE = 16
Layers = list[tuple[Float[Array, "..."], Float[Array, " _"]]]


class Images16(TaskFamily):
    """Cross-entropy (nats) of convolutions and dense layers on grey images of 16×16 pixels.

    Pixels have a variance of 1 and noise of another 1, so that no network learns the images by
    heart: a loss near 0 would tell little of a rule.

    Args:
        source: As of `innerloop.datasets.grey8.load_grey8`.
        filters: Outputs of each convolution, which halves the sides.
        hidden: Units of each hidden layer.
        data_dir: The folder that holds the data.
    """

    images: Float[Array, "images pixels"]
    labels: UInt8[Array, " images"]
    filters: tuple[int, ...] = eqx.field(static=True)
    hidden: tuple[int, ...] = eqx.field(static=True)
    batch: int = eqx.field(static=True, default=64)

    def __init__(
        self,
        source: str,
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (),
        data_dir: str | Path | None = None,
    ):
        data = load_grey8(source, data_dir, SIDE)
        pixels = data.images.reshape(len(data.images), -1).astype(np.float32)
        self.images = jnp.asarray((pixels - pixels.mean()) / pixels.std())
        self.labels = jnp.asarray(data.labels)
        self.filters, self.hidden, self.batch = filters, hidden, 64

    def sample(self, *, key: PRNGKeyArray) -> None:
        """None: problems differ by their keys alone."""

    def init(self, problem: None, *, key: PRNGKeyArray) -> Layers:
        side = SIDE // 2 ** len(self.filters)
        channels = (1, *self.filters)
        widths = (side * side * channels[-1], *self.hidden, CLASSES)
        shapes = [(3, 3, *pair) for pair in itertools.pairwise(channels)]
        shapes += list(itertools.pairwise(widths))
        keys = jax.random.split(key, len(shapes))
        return [
            (gaussian(each, shape), jnp.zeros(shape[-1]))
            for each, shape in zip(keys, shapes, strict=True)
        ]

    def loss(self, params: Layers, problem: None, *, key: PRNGKeyArray) -> Float[Array, ""]:
        chosen_key, noise_key = jax.random.split(key)
        chosen = jax.random.randint(chosen_key, (self.batch,), 0, len(self.images))
        noise = jax.random.normal(noise_key, (self.batch, SIDE * SIDE))
        units = (self.images[chosen] + noise).reshape(self.batch, SIDE, SIDE, 1)
        count = len(self.filters)
        for kernel, bias in params[:count]:
            units = jax.nn.relu(convolved(units, kernel) + bias)
        units = units.reshape(self.batch, -1)
        for weight, bias in params[count:-1]:
            units = jax.nn.relu(units @ weight + bias)
        weight, bias = params[-1]
        return cross_entropy(units @ weight + bias, self.labels[chosen])


def manual(**settings: int) -> TextTransformer:
    """A transformer on the help texts of Python, in the symbols of the package's own text."""
    places = {symbol: place for place, symbol in enumerate(SYMBOLS)}
    places |= {str(digit): places["0"] for digit in range(10)}
    text = " ".join(" ".join(pydoc_data.topics.topics.values()).lower().split())
    codes = np.asarray([places[each] for each in text if each in places], np.uint8)
    most = len(codes) * 9 // 10
    task = TextTransformer(**settings)
    parts = (jnp.asarray(codes[:most]), jnp.asarray(codes[most:]))
    return eqx.tree_at(lambda each: (each.text, each.held_out_text), task, parts)


class Probe(NamedTuple):
    """A problem, and for how many steps it is run."""

    steps: int
    make: Callable[[str | None], TaskFamily]


PROBES: dict[str, Probe] = {
    "wide": Probe(2000, lambda data: Images16("mnist", hidden=(256, 128), data_dir=data)),
    "deep": Probe(2000, lambda data: Images16("omniglot", hidden=(64,) * 5, data_dir=data)),
    "convolution": Probe(1000, lambda data: Images16("cifar10", filters=(16, 32), data_dir=data)),
    "transformer": Probe(1000, lambda data: manual(width=24, layers=2, length=24, batch=16)),
    "long": Probe(10_000, lambda data: RandomProjection(classes=10, hidden=128, noise=1.0)),
}
"""By name: eight times as wide and five times as deep as in training, another text, and runs
five times as long."""
