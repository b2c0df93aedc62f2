"""Convolution, pooling and normalisation, fast on a CPU for weights that differ a problem.

On other backends the convolution is XLA's own. Ours may be deleted when XLA's convolution inside a
loop is as fast on a CPU as a product of patches.

Images are [channels, height, width, n]: the images trail, so that shifting, pooling and
patching copy whole rows. The gradient of three layers of 16 filters on 128 images of 32×32,
inside a `lax.scan` over problems and on one busy core, took 840 ms with XLA's own convolution,
64 with patches and the channels trailing, and 34 like this.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .backends import on_cpu


def conv(
    images: Float[Array, "channels height width n"],
    kernel: Float[Array, "filters side side channels"],
) -> Float[Array, "filters height width n"]:
    """Cross-correlation with stride 1 and zeros around, so that the size stays; odd sides."""
    return by_patches(images, kernel) if on_cpu() else by_xla(images, kernel)


def by_xla(
    images: Float[Array, "channels height width n"],
    kernel: Float[Array, "filters side side channels"],
) -> Float[Array, "filters height width n"]:
    """`conv` by XLA's convolution."""
    return lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("CHWN", "OHWI", "CHWN")
    )


def by_patches(
    images: Float[Array, "channels height width n"],
    kernel: Float[Array, "filters side side channels"],
) -> Float[Array, "filters height width n"]:
    """`conv` as a product of the kernel and the pixels around each pixel."""
    channels, height, width, n = images.shape
    filters, side = kernel.shape[:2]
    border = (side // 2, side // 2)
    padded = jnp.pad(images, ((0, 0), border, border, (0, 0)))
    patches = jnp.concatenate(
        [
            padded[:, row : row + height, column : column + width]
            for row in range(side)
            for column in range(side)
        ]
    )
    product = kernel.reshape(filters, -1) @ patches.reshape(side * side * channels, -1)
    return product.reshape(filters, height, width, n)


def max_pool(
    images: Float[Array, "channels height width n"],
) -> Float[Array, "channels _ _ n"]:
    """The largest of each 2×2 square; height and width must be even."""
    channels, height, width, n = images.shape
    squares = images.reshape(channels, height // 2, 2, width // 2, 2, n)
    rows = jnp.maximum(squares[:, :, 0], squares[:, :, 1])
    return jnp.maximum(rows[:, :, :, 0], rows[:, :, :, 1])


def normalise(
    units: Float[Array, "features *rest"],
    scale: Float[Array, " features"],
    bias: Float[Array, " features"],
) -> Float[Array, "features *rest"]:
    """Batch normalisation by the batch's own statistics, over all axes but the first."""
    axes = tuple(range(1, units.ndim))
    along = (-1,) + (1,) * len(axes)
    centred = units - jnp.mean(units, axes, keepdims=True)
    variance = jnp.mean(centred**2, axes)
    factor = scale * lax.rsqrt(variance + 1e-5)
    return centred * factor.reshape(along) + bias.reshape(along)
