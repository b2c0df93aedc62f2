"""Painting a photograph in the style of a painting (Andrychowicz et al. 2016, Section 3.4)."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..datasets.miniimagenet import SIDE as PHOTOGRAPH_SIDE, MiniImageNet
from ..datasets.paintings import load_painting, resized
from ..datasets.vgg import load_vgg16
from ..errors import InnerloopError
from ..kernels.winograd import convolve
from ..registry import register
from ._base import Split, TaskFamily

PARTS: dict[Split, tuple[int, int]] = {
    "train": (0, 1800),
    "validation": (1800, 2200),
    "test": (2200, 4200),
}
"""Which photographs, of all in a fixed random order, are whose."""
_POOL_BEFORE = (2, 4, 7, 10)  # Convolutions of VGG16 that a pooling precedes.
_MEAN = np.asarray([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.asarray([0.229, 0.224, 0.225], np.float32)

Pixels = Float[Array, "3 side side"]


class Photograph(eqx.Module):
    """What is to be painted, and its features in the last layer."""

    pixels: Pixels
    content: Float[Array, "height width channels"]


@register("neural-art")
@final
class NeuralArt(TaskFamily):
    """α content + β style + γ smoothness over the pixels of an image (Gatys et al. 2015).

    With F_l the features of VGG16's l-th convolution, rectified, G_l = F_l F_lᵀ / n their
    Gram matrix, and the image's values from 0 to 1,

        content    mean (F_L − F_L of the photograph)² / mean (F_L of the photograph)²
        style      Σ_l mean (G_l − G_l of the painting)² / mean (G_l of the painting)²
        smoothness mean of the squared differences between neighbouring pixels,

    and all is multiplied by `factor`. Every term is free of VGG's own scales. One problem is one
    photograph, drawn from miniImageNet's training split: 1,800 photographs to train on, and others
    to validate and to test. The pixels start as uniform noise. The paper says neither which layers
    nor which weights.

    Parameters are float32 [3, side, side].

    Args:
        style: The name or file of a painting, see `innerloop.datasets.paintings.load_painting`.
        size: Height and width of the image, a multiple of 16 pixels.
        layers: Convolutions of VGG16 that are used. Three, up to the first one after a pooling,
            take a CPU five milliseconds for a gradient at 64×64.
        content_weight: α, not negative.
        style_weight: β, not negative.
        smooth_weight: γ, not negative.
        factor: What the loss is multiplied by, positive.
        data_dir: A folder with photographs, painting and weights; None for INNERLOOP_DATA and the
            user's cache.

    Raises:
        InnerloopError: A setting is out of its range, or images or weights are not to be had.

    Example:
        >>> import innerloop
        >>> task = innerloop.NeuralArt(size=32, style="starry_night")  # doctest: +SKIP

    References:
        Gatys, Ecker & Bethge, "A neural algorithm of artistic style" (2015, arXiv:1508.06576);
        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent" (2016,
        arXiv:1606.04474), Section 3.4.
    """

    one_by_one = True

    photographs: UInt8[Array, "photographs 3 side side"]
    grams: tuple[Float[Array, "channels channels"], ...]
    network: tuple[tuple[Float[Array, "..."], Float[Array, "..."]], ...]
    style: str = eqx.field(static=True)
    size: int = eqx.field(static=True)
    layers: int = eqx.field(static=True)
    content_weight: float = eqx.field(static=True)
    style_weight: float = eqx.field(static=True)
    smooth_weight: float = eqx.field(static=True)
    factor: float = eqx.field(static=True)
    data_dir: str | None = eqx.field(static=True)
    part: Split = eqx.field(static=True)

    def __init__(
        self,
        *,
        style: str = "starry_night",
        size: int = 64,
        layers: int = 3,
        content_weight: float = 1.0,
        style_weight: float = 10.0,
        smooth_weight: float = 10.0,
        factor: float = 100.0,
        data_dir: str | Path | None = None,
    ):
        if size < 16 or size % 16:
            raise InnerloopError(f"size is {size}; it must be a multiple of 16 pixels.")
        weights = {"content": content_weight, "style": style_weight, "smooth": smooth_weight}
        for name, weight in weights.items():
            if not weight >= 0:
                raise InnerloopError(f"{name}_weight is {weight}; it must not be negative.")
        if not factor > 0:
            raise InnerloopError(f"factor is {factor}; it must be positive.")
        self.style, self.size, self.layers, self.factor = str(style), size, layers, factor
        self.content_weight, self.style_weight = content_weight, style_weight
        self.smooth_weight, self.part = smooth_weight, "train"
        self.data_dir = None if data_dir is None else str(data_dir)
        network = load_vgg16(layers, data_dir)
        self.network = tuple((jnp.asarray(kernel), jnp.asarray(bias)) for kernel, bias in network)
        painting = jnp.asarray(load_painting(style, size, data_dir).transpose(2, 0, 1))
        self.grams = tuple(_gram(features) for features in self.features(painting))
        self.photographs = jnp.asarray(_photographs(self.part, size, data_dir))

    def split(self, part: Split) -> "NeuralArt":
        if part == self.part:
            return self
        # All but the photographs is shared, so that the network and the painting are read once.
        other = object.__new__(NeuralArt)
        for name, value in vars(self).items():
            object.__setattr__(other, name, value)
        photographs = jnp.asarray(_photographs(part, self.size, self.data_dir))
        object.__setattr__(other, "part", part)
        object.__setattr__(other, "photographs", photographs)
        return other

    def sample(self, *, key: PRNGKeyArray) -> Photograph:
        chosen = jax.random.randint(key, (), 0, self.photographs.shape[0])
        pixels = self.photographs[chosen].astype(jnp.float32) / 255
        return Photograph(pixels, self.features(pixels)[-1])

    def init(self, problem: Photograph, *, key: PRNGKeyArray) -> Pixels:
        return jax.random.uniform(key, problem.pixels.shape)

    def loss(self, params: Pixels, problem: Photograph, *, key: PRNGKeyArray) -> Float[Array, ""]:
        found = self.features(params)
        content = _relative(found[-1], problem.content)
        style = sum(
            _relative(_gram(features), wanted)
            for features, wanted in zip(found, self.grams, strict=True)
        )
        down, right = params[:, 1:] - params[:, :-1], params[:, :, 1:] - params[:, :, :-1]
        smooth = jnp.mean(down**2) + jnp.mean(right**2)
        return self.factor * (
            self.content_weight * content + self.style_weight * style + self.smooth_weight * smooth
        )

    def features(self, pixels: Pixels) -> list[Float[Array, "height width channels"]]:
        """VGG16's rectified features of an image, layer by layer."""
        units = (jnp.moveaxis(pixels, 0, -1) - _MEAN) / _DEVIATION
        found = []
        for number, (kernel, bias) in enumerate(self.network):
            if number in _POOL_BEFORE:
                units = _max_pool(units)
            units = jax.nn.relu(convolve(units, kernel) + bias)
            found.append(units)
        return found


def _max_pool(
    units: Float[Array, "height width channels"],
) -> Float[Array, "_ _ channels"]:
    """The largest of each 2×2 square; height and width are even."""
    rows = jnp.maximum(units[::2], units[1::2])
    return jnp.maximum(rows[:, ::2], rows[:, 1::2])


def _gram(features: Float[Array, "height width channels"]) -> Float[Array, "channels channels"]:
    pixels = features.reshape(-1, features.shape[-1])
    return pixels.T @ pixels / pixels.shape[0]


def _relative(found: Array, wanted: Array) -> Float[Array, ""]:
    return jnp.mean((found - wanted) ** 2) / jnp.mean(wanted**2)


def _photographs(
    part: Split, size: int, data_dir: str | Path | None
) -> UInt8[np.ndarray, "photographs 3 size size"]:
    dataset = MiniImageNet("train", data_dir)
    order = np.random.default_rng(0).permutation(len(dataset.names))
    first, last = PARTS[part]
    if last > len(order):
        raise InnerloopError(
            f"{dataset.store.path} has {len(order)} training images; neural art needs {last}."
        )
    names = [dataset.names[place] for place in order[first:last]]
    images = dataset.store.images(names, (PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE))
    # Bytes, which take a quarter of the memory that the same in single precision would.
    pixels = [np.round(255 * resized(image, size)).astype(np.uint8) for image in images]
    return np.stack(pixels).transpose(0, 3, 1, 2)
