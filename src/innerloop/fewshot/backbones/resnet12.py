"""ResNet-12: the deeper network of few-shot learning."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ...errors import InnerloopError
from ...registry import register
from ._base import Backbone, Params, Statistics

_EPSILON = 1e-5  # Of batch normalisation.
_SLOPE = 0.1  # Of LeakyReLU below 0.
_LAYOUT = ("NHWC", "OHWI", "NHWC")


@register("resnet12")
@final
class ResNet12(Backbone):
    """Four residual blocks of three 3×3 convolutions, each block with 2×2 max pooling after it.

    Every convolution is followed by batch normalisation and LeakyReLU of slope 0.1; in the third
    the block's input, through a 1×1 convolution and batch normalisation, is added before the
    LeakyReLU. Features are the mean over positions of the last block. Parameters are
    {"block1": …, …}, each with `kernel`, `scale` and `shift` numbered 1 to 3, and those of the
    shortcut, numbered 0; all float32.

    Args:
        side: Height and width of the images, in pixels: at least 2 to the number of blocks.
        channels: Channels of the images.
        widths: Filters of each block, first to last; as many blocks as numbers.

    Raises:
        InnerloopError: The images are too small for the poolings, or a number is not positive.

    Example:
        >>> from innerloop import fewshot
        >>> fewshot.ResNet12(side=84, channels=3, widths=(64, 128, 256, 512)).width
        512

    References:
        Oreshkin et al., "TADAM" (2018, arXiv:1805.10123), with widths of 64 to 512;
        Lee et al., "Meta-learning with differentiable convex optimization" (2019,
        arXiv:1904.03758), with 64, 160, 320 and 640.
    """

    widths: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, *, side: int, channels: int, widths: tuple[int, ...] = (64, 160, 320, 640)):
        # A file's header holds a list.
        self.side, self.channels, self.widths = side, channels, tuple(widths)
        if channels < 1 or not self.widths or min(self.widths) < 1:
            raise InnerloopError(
                f"channels is {channels} and widths is {self.widths}; both must be positive."
            )
        if side < 2 ** len(self.widths):
            raise InnerloopError(
                f"side is {side}; {len(self.widths)} poolings need at least "
                f"{2 ** len(self.widths)} pixels."
            )

    @property
    def width(self) -> int:
        return self.widths[-1]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"block{number + 1}" for number in range(len(self.widths)))

    def init(self, *, key: PRNGKeyArray) -> Params:
        """Gaussian kernels with He's variance, scales of 1 and shifts of 0."""
        params: Params = {}
        inputs = (self.channels, *self.widths[:-1])
        keys = jax.random.split(key, len(self.widths))
        for name, layer_key, before, filters in zip(
            self.layers, keys, inputs, self.widths, strict=True
        ):
            layer: dict[str, Array] = {}
            for number, kernel_key in enumerate(jax.random.split(layer_key, 4)):
                size, channels = (1 if number == 0 else 3), (before if number < 2 else filters)
                kernel = jax.random.normal(kernel_key, (filters, size, size, channels))
                layer[f"kernel{number}"] = kernel * (2 / (size * size * channels)) ** 0.5
                layer[f"scale{number}"] = jnp.ones(filters)
                layer[f"shift{number}"] = jnp.zeros(filters)
            params[name] = layer
        return params

    def features(
        self,
        params: Params,
        images: UInt8[Array, "n side side channels"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n width"], Statistics]:
        used: Statistics = {}

        def normalised(units: Array, name: str, number: int) -> Array:
            layer, place = params[name], f"{name}.{number}"
            units = lax.conv_general_dilated(
                units, layer[f"kernel{number}"], (1, 1), "SAME", dimension_numbers=_LAYOUT
            )
            found = (jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2)))
            used[place] = found if statistics is None else statistics[place]
            mean, variance = used[place]
            factor = layer[f"scale{number}"] * lax.rsqrt(variance + _EPSILON)
            return (units - mean) * factor + layer[f"shift{number}"]

        # In the parameters' dtype, which is float64 in JAX's 64-bit mode.
        units = images.astype(jnp.result_type(*jax.tree.leaves(params))) / 255
        for name in self.layers:
            shortcut = normalised(units, name, 0)
            for number in (1, 2):
                units = _leaky(normalised(units, name, number))
            units = _leaky(normalised(units, name, 3) + shortcut)
            window = (1, 2, 2, 1)
            units = lax.reduce_window(units, -jnp.inf, lax.max, window, window, "VALID")
        return jnp.mean(units, (1, 2)), used


def _leaky(units: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.nn.leaky_relu(units, _SLOPE)
