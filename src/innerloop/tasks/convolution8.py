"""A small convolutional network on grey images of 8×8 pixels."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..datasets.grey8 import CLASSES, SIDE
from ..registry import register
from ..runtime.settings import Count, check_value
from ._base import TaskFamily
from .images8 import SOURCES, Grey8Pixels, gaussian
from .mnist import cross_entropy

Layers = list[tuple[Float[Array, "..."], Float[Array, " _"]]]
_KERNEL, _STRIDE = 3, 2


@register("convolution8")
@final
class Convolution8(TaskFamily):
    """Cross-entropy (nats) of two convolutions and a dense layer on images of 8×8 pixels.

    The convolutions have 3×3 kernels, stride 2, zeros around the image and ReLU; they are written
    as products of matrices, which stay fast under `jax.vmap` where every problem has kernels of its
    own. Problems, data and initial weights are as in `Images8`.

    Parameters are a list with (kernel [3, 3, inputs, outputs], bias [outputs]) for both
    convolutions and (weight [inputs, outputs], bias [outputs]) for the dense layer, float32.

    Args:
        sources: Datasets, as in `Images8`.
        filters: Outputs of the first convolution; the second has twice as many.
        batch: Images in a minibatch.
        data_dir: The folder that holds the data.

    Raises:
        InnerloopError: A setting is out of its range, or the data is not to be had.
    """

    data: Grey8Pixels
    sources: tuple[str, ...] = eqx.field(static=True)
    filters: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        sources: tuple[str, ...] = SOURCES,
        filters: Count = 8,
        batch: Count = 32,
        data_dir: str | Path | None = None,
    ):
        check_value("filters", filters, Count)
        check_value("batch", batch, Count)
        self.sources, self.filters, self.batch = sources, filters, batch
        self.data = Grey8Pixels(sources, data_dir)

    def sample(self, *, key: PRNGKeyArray) -> Int[Array, ""]:
        """The place of the problem's dataset among the sources."""
        return jax.random.randint(key, (), 0, len(self.sources))

    def init(self, problem: Int[Array, ""], *, key: PRNGKeyArray) -> Layers:
        filters, side = self.filters, SIDE // _STRIDE**2
        shapes = (
            (_KERNEL, _KERNEL, 1, filters),
            (_KERNEL, _KERNEL, filters, 2 * filters),
            (side * side * 2 * filters, CLASSES),
        )
        keys = jax.random.split(key, len(shapes))
        return [
            (gaussian(each, shape), jnp.zeros(shape[-1]))
            for each, shape in zip(keys, shapes, strict=True)
        ]

    def loss(
        self, params: Layers, problem: Int[Array, ""], *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        pixels, labels = self.data.minibatch(problem, self.batch, key)
        units = pixels.reshape(self.batch, SIDE, SIDE, 1)
        *convolutions, (weight, bias) = params
        for kernel, kernel_bias in convolutions:
            units = jax.nn.relu(convolved(units, kernel) + kernel_bias)
        return cross_entropy(units.reshape(self.batch, -1) @ weight + bias, labels)


def convolved(
    units: Float[Array, "batch side side inputs"], kernel: Float[Array, "3 3 inputs outputs"]
) -> Float[Array, "batch half half outputs"]:
    side = units.shape[1]
    around = jnp.pad(units, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = [
        around[:, row : row + side : _STRIDE, column : column + side : _STRIDE]
        for row in range(_KERNEL)
        for column in range(_KERNEL)
    ]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
