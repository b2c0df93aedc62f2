"""The learner of both few-shot traditions: four convolutional blocks, and a linear layer."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..errors import InnerloopError
from ..kernels.episode_convolution import Moments, convolve_and_pool

BLOCKS = ("block1", "block2", "block3", "block4")
_EPSILON = 1e-3  # Of batch normalisation, as published.

Params = dict[str, dict[str, Float[Array, "..."]]]
Statistics = dict[str, Moments]
"""The mean and the variance of each block's units before they are normalised."""


@final
class Conv4(eqx.Module):
    """Four blocks of [3×3 convolution, batch normalisation, ReLU, 2×2 max pooling].

    The learner of Vinyals et al. (2016) and Ravi & Larochelle (2017), who take 32 filters on
    miniImageNet. Parameters are {"block1": …, …, "block4": …}, each with `kernel` [filters, 3,
    3, inputs], `scale` and `shift`, and, where there are `classes`, "head" with `weight`
    [classes, features] and `bias`; all float32. Convolutions have no bias: normalisation takes
    away whatever it adds, and its gradient is 0. Raises `InnerloopError` for images under 16
    pixels, of which four poolings leave nothing.
    """

    side: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    filters: int = eqx.field(static=True)
    classes: int | None = eqx.field(static=True)

    def __init__(self, *, side: int, channels: int, filters: int = 32, classes: int | None = None):
        if side < 2 ** len(BLOCKS):
            raise InnerloopError(f"side is {side}; four poolings need at least 16 pixels.")
        for name, size in {"channels": channels, "filters": filters}.items():
            if size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        self.side, self.channels, self.filters, self.classes = side, channels, filters, classes

    @property
    def width(self) -> int:
        """How many features an image has after the last block."""
        return (self.side // 2 ** len(BLOCKS)) ** 2 * self.filters

    def init(self, *, key: PRNGKeyArray) -> Params:
        """Random blocks, Gaussian with He's variance; a linear layer of 0.

        So every class is as likely as any other until something is learned of them: on random
        logits the first inner steps would be spent on taking them back.
        """
        keys = jax.random.split(key, len(BLOCKS))
        inputs = (self.channels, *[self.filters] * (len(BLOCKS) - 1))
        params: Params = {}
        for name, block_key, channels in zip(BLOCKS, keys, inputs, strict=True):
            kernel = jax.random.normal(block_key, (self.filters, 3, 3, channels))
            params[name] = {
                "kernel": kernel * np.sqrt(2 / (9 * channels)),
                "scale": jnp.ones(self.filters),
                "shift": jnp.zeros(self.filters),
            }
        if self.classes is not None:
            params["head"] = {
                "weight": jnp.zeros((self.classes, self.width)),
                "bias": jnp.zeros(self.classes),
            }
        return params

    def features(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n features"], Statistics]:
        """(features, statistics): normalised by `statistics`, or by the images' own."""
        units = images.astype(jnp.float32) / 255
        used: Statistics = {}
        for name in BLOCKS:
            block = params[name]
            # Pooling commutes with whatever rises, and, up to the sign, with whatever falls: all
            # that follows it then runs on a quarter of the units.
            sign = jnp.where(block["scale"] < 0, -1.0, 1.0)
            largest, moments = convolve_and_pool(units, block["kernel"], sign)
            used[name] = moments if statistics is None else statistics[name]
            mean, variance = used[name]
            factor = block["scale"] * lax.rsqrt(variance + _EPSILON)
            units = jax.nn.relu((largest * sign - mean) * factor + block["shift"])
        return units.reshape(units.shape[0], -1), used

    def logits(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n classes"], Statistics]:
        """(logits, statistics): as `features`, through the linear layer."""
        features, used = self.features(params, images, statistics)
        return features @ params["head"]["weight"].T + params["head"]["bias"], used
