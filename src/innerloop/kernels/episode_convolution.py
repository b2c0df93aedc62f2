"""Convolution, its moments and its pooling in one go over the images, for CPU caches.

What bounds such networks on a CPU is memory: at 84×84 the units of a first layer of 32 filters
are 90 megabytes for a hundred images, and every pass over them costs as much as the product that
made them. Here they never leave the cache: the images come a few at a time, and of their units
only the largest of each square, a quarter, and the sums that batch normalisation needs are kept.
The way back makes them anew.

On other backends all is XLA's own. Ours may be deleted when XLA fuses a convolution with what
reduces its units on a CPU.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .backends import on_cpu

FEW_CHANNELS = 8  # A copy of so few numbers at a time costs more than the numbers.
CHUNK_NUMBERS = 1 << 17
"""Numbers in the patches of a chunk of images: half a megabyte."""


Moments = tuple[Float[Array, " filters"], Float[Array, " filters"]]


def convolve_and_pool(
    images: Float[Array, "n height width channels"],
    kernel: Float[Array, "filters 3 3 channels"],
    sign: Float[Array, " filters"],
) -> tuple[Float[Array, "n _ _ filters"], Moments]:
    """(the largest of each 2×2 square of `sign` times the units, (their mean, their variance)).

    Units are the cross-correlation with zeros around; `sign` is 1 or −1, and gets no gradient.
    An odd last row or column is pooled into nothing, and counts in the moments. The gradient of
    a square goes to its largest unit, in equal parts to those that are equal.
    """
    sign = lax.stop_gradient(sign)
    return in_chunks(images, kernel, sign) if on_cpu() else by_xla(images, kernel, sign)


def convolve(
    images: Float[Array, "n height width channels"], kernel: Float[Array, "filters 3 3 channels"]
) -> Float[Array, "n height width filters"]:
    """The units alone: the cross-correlation with zeros around, of all images at once."""
    return _units(images, kernel) if on_cpu() else _xlas_units(images, kernel)


def by_xla(images: Array, kernel: Array, sign: Array) -> tuple[Array, Moments]:
    """`convolve_and_pool` by XLA's convolution and reductions."""
    units = _xlas_units(images, kernel)
    moments = jnp.mean(units, (0, 1, 2)), jnp.var(units, (0, 1, 2))
    return jnp.max(_squares(units * sign), (2, 4)), moments


def _xlas_units(images: Array, kernel: Array) -> Array:
    layout = ("NHWC", "OHWI", "NHWC")
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)


def in_chunks(images: Array, kernel: Array, sign: Array) -> tuple[Array, Moments]:
    """`convolve_and_pool` a chunk of images at a time."""
    largest, means, variances = _chunk_by_chunk(images, kernel, sign)
    mean = jnp.mean(means, 0)
    # The variance of all units: within images, and of the images' means.
    return largest, (mean, jnp.mean(variances, 0) + jnp.mean((means - mean) ** 2, 0))


@jax.custom_vjp
def _chunk_by_chunk(images: Array, kernel: Array, sign: Array) -> tuple[Array, Array, Array]:
    """(largest [n, height / 2, width / 2, filters], means and variances [n, filters])."""

    def chunk(images):
        units = _units(images, kernel)
        mean = jnp.mean(units, (1, 2))
        variance = jnp.mean((units - mean[:, None, None]) ** 2, (1, 2))
        squares = _squares(units * sign)
        rows = jnp.maximum(squares[:, :, 0], squares[:, :, 1])
        return jnp.maximum(rows[:, :, :, 0], rows[:, :, :, 1]), mean, variance

    return _joined(lax.map(chunk, _chunks(images, images.shape)))


def _forward(images: Array, kernel: Array, sign: Array) -> tuple[Any, Any]:
    results = _chunk_by_chunk(images, kernel, sign)
    return results, (images, kernel, sign, results[0], results[1])


def _backward(saved: Any, gradients: Any) -> tuple[Array, Array, Array]:
    images, kernel, sign, largest, means = saved
    _, height, width, channels = images.shape
    filters = kernel.shape[0]
    # Towards the images a convolution is one with the kernel turned around.
    turned = jnp.transpose(kernel[:, ::-1, ::-1], (3, 1, 2, 0))

    def chunk(sum_so_far, part):
        images, largest, mean, (to_largest, to_mean, to_variance) = part
        units = _units(images, kernel)
        hit = _squares(units * sign) == largest[:, :, None, :, None]
        count = hit.astype(units.dtype)
        count = count[:, :, 0] + count[:, :, 1]
        share = to_largest * sign / (count[:, :, :, 0] + count[:, :, :, 1])
        to_units = jnp.where(hit, share[:, :, None, :, None], 0)
        to_units = to_units.reshape(-1, height // 2 * 2, width // 2 * 2, filters)
        to_units = jnp.pad(to_units, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        to_units += (to_mean / (height * width))[:, None, None]
        to_units += (units - mean[:, None, None]) * (2 * to_variance / (height * width))[
            :, None, None
        ]
        return sum_so_far + _to_kernel(to_units, images), _units(to_units, turned)

    parts = _chunks((images, largest, means, gradients), images.shape)
    to_kernel, to_images = lax.scan(chunk, jnp.zeros((filters, 9 * channels), kernel.dtype), parts)
    return to_images.reshape(images.shape), to_kernel.reshape(kernel.shape), jnp.zeros_like(sign)


_chunk_by_chunk.defvjp(_forward, _backward)


def _patches(images: Float[Array, "n height width channels"]) -> Float[Array, "pixels patch"]:
    """The 3×3 pixels around each pixel.

    A product of these is XLA's convolution, which is some ten times slower inside a loop.
    """
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    if channels < FEW_CHANNELS:
        # Three longer copies of what three shorter ones have put together.
        padded = lax.optimization_barrier(
            jnp.concatenate([padded[:, :, column : column + width] for column in range(3)], axis=-1)
        )
        shifted = [padded[:, row : row + height] for row in range(3)]
    else:
        shifted = [
            padded[:, row : row + height, column : column + width]
            for row in range(3)
            for column in range(3)
        ]
    return jnp.concatenate(shifted, axis=-1).reshape(-1, 9 * channels)


# To second order too, patches are made anew and not kept: they are nine times the images.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _units(
    images: Float[Array, "n height width channels"], kernel: Float[Array, "filters 3 3 channels"]
) -> Float[Array, "n height width filters"]:
    filters = kernel.shape[0]
    units = _patches(images) @ kernel.reshape(filters, -1).T
    return units.reshape(*images.shape[:3], filters)


@functools.partial(jax.checkpoint, prevent_cse=False)
def _to_kernel(
    to_units: Float[Array, "n height width filters"],
    images: Float[Array, "n height width channels"],
) -> Float[Array, "filters patch"]:
    """The kernel's gradient; the narrower side first, which is up to twice as fast."""
    patches, to_units = _patches(images), to_units.reshape(-1, to_units.shape[-1])
    over_pixels = (((0,), (0,)), ((), ()))
    if patches.shape[1] < to_units.shape[1]:
        # The barrier keeps XLA from taking the transpose into the product.
        return lax.optimization_barrier(lax.dot_general(patches, to_units, over_pixels)).T
    return lax.dot_general(to_units, patches, over_pixels)


def _squares(units: Float[Array, "n height width filters"]) -> Float[Array, "n _ 2 _ 2 filters"]:
    n, height, width, filters = units.shape
    units = units[:, : height // 2 * 2, : width // 2 * 2]
    return units.reshape(n, height // 2, 2, width // 2, 2, filters)


def _chunks(tree: Any, shape: tuple[int, ...]) -> Any:
    """Leaves [n, …] as [chunks, images of a chunk, …]: what fits into the cache."""
    n, height, width, channels = shape
    most = max(1, CHUNK_NUMBERS // (height * width * 9 * channels))
    chunk = max(size for size in range(1, n + 1) if n % size == 0 and size <= most)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:]), tree)


def _joined(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
