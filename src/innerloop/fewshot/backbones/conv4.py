"""The network of both few-shot traditions: four convolutional blocks."""

from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ...errors import InnerloopError
from ...kernels.episode_convolution import Moments, convolve, convolve_and_pool
from ...registry import register
from ._base import Backbone, Params, Statistics

_EPSILON = 1e-3  # Of batch normalisation, as published.


@register("conv4")
@final
class Conv4(Backbone):
    """Four blocks of [3×3 convolution, batch normalisation, ReLU, 2×2 max pooling].

    Parameters are {"block1": …, …, "block4": …}, each with `kernel` [filters, 3, 3, inputs],
    `scale` and `shift` [filters]; all float32. Convolutions have no bias: normalisation takes
    away whatever it adds, and its gradient is 0.

    Args:
        side: Height and width of the images, in pixels: at least 16 for four poolings.
        channels: Channels of the images.
        filters: Filters of each block. The papers take 32 on miniImageNet and 64 on Omniglot.
        pool: What becomes of the last block. "flatten" pools as the other blocks do, and every
            position gives features of its own. "mean" does not pool, and takes the mean over
            positions, so that there are as many features as filters.
        blocks: Blocks of the network.
        reduce: Average the images over squares of this many pixels first. With 2 everything costs
            a quarter, on coarser images.

    Raises:
        InnerloopError: The images are too small for the poolings, or a number is not positive.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.Conv4(side=84, channels=3, filters=32).width
        800

    References:
        Vinyals et al., "Matching networks for one shot learning" (2016, arXiv:1606.04080);
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017).
    """

    filters: int = eqx.field(static=True)
    pool: Literal["flatten", "mean"] = eqx.field(static=True)
    blocks: int = eqx.field(static=True)
    reduce: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        side: int,
        channels: int,
        filters: int = 32,
        pool: Literal["flatten", "mean"] = "flatten",
        blocks: int = 4,
        reduce: int = 1,
    ):
        sizes = {"channels": channels, "filters": filters, "blocks": blocks, "reduce": reduce}
        for name, size in sizes.items():
            if size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        if pool not in ("flatten", "mean"):
            raise InnerloopError(f"pool is '{pool}'; it must be 'flatten' or 'mean'.")
        poolings = blocks if pool == "flatten" else blocks - 1
        if side < reduce * 2**poolings:
            raise InnerloopError(
                f"side is {side}; {poolings} poolings need at least {reduce * 2**poolings} pixels."
            )
        self.side, self.channels = side, channels
        self.filters, self.pool, self.blocks, self.reduce = filters, pool, blocks, reduce

    @property
    def width(self) -> int:
        if self.pool == "mean":
            return self.filters
        return (self.side // self.reduce // 2**self.blocks) ** 2 * self.filters

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"block{number + 1}" for number in range(self.blocks))

    def init(self, *, key: PRNGKeyArray) -> Params:
        """Gaussian kernels with He's variance, scales of 1 and shifts of 0."""
        keys = jax.random.split(key, self.blocks)
        inputs = (self.channels, *[self.filters] * (self.blocks - 1))
        params: Params = {}
        for name, block_key, channels in zip(self.layers, keys, inputs, strict=True):
            kernel = jax.random.normal(block_key, (self.filters, 3, 3, channels))
            params[name] = {
                "kernel": kernel * np.sqrt(2 / (9 * channels)),
                "scale": jnp.ones(self.filters),
                "shift": jnp.zeros(self.filters),
            }
        return params

    def features(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n width"], Statistics]:
        units = reduce_images(images.astype(jnp.float32), self.reduce) / 255
        used: Statistics = {}
        for name in self.layers:
            block = params[name]
            # Pooling commutes with whatever rises, and, up to the sign, with whatever falls: all
            # that follows it then runs on a quarter of the units.
            sign = jnp.where(block["scale"] < 0, -1.0, 1.0)
            if self.pool == "mean" and name == self.layers[-1]:
                largest, moments = _convolve(units, block["kernel"], sign)
            else:
                largest, moments = convolve_and_pool(units, block["kernel"], sign)
            used[name] = moments if statistics is None else statistics[name]
            mean, variance = used[name]
            factor = block["scale"] * lax.rsqrt(variance + _EPSILON)
            units = jax.nn.relu((largest * sign - mean) * factor + block["shift"])
        if self.pool == "mean":
            return jnp.mean(units, (1, 2)), used
        return units.reshape(units.shape[0], -1), used


def reduce_images(
    images: Float[Array, "n height width channels"], factor: int
) -> Float[Array, "n _ _ channels"]:
    """The mean of each square of `factor` × `factor` pixels; what is left at the edges is cut."""
    if factor == 1:
        return images
    n, height, width, channels = images.shape
    height, width = height // factor, width // factor
    squares = images[:, : height * factor, : width * factor]
    squares = squares.reshape(n, height, factor, width, factor, channels)
    return jnp.mean(squares, axis=(2, 4))


def _convolve(
    images: Float[Array, "n height width channels"],
    kernel: Float[Array, "filters 3 3 channels"],
    sign: Float[Array, " filters"],
) -> tuple[Float[Array, "n height width filters"], Moments]:
    """As `convolve_and_pool`, without pooling."""
    units = convolve(images, kernel)
    return units * sign, (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))
