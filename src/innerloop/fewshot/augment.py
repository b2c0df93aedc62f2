"""Images of meta-training, slightly changed: more of them than there are."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray, UInt8

from .. import keys
from ..errors import InnerloopError


@final
class Augmentation(eqx.Module):
    """Random changes of images: mirrored, turned and stretched, and moved.

    What comes in at an edge is the image mirrored there. Each image is changed by itself. An
    image is turned, stretched and slanted about its centre by the matrix I + E, whose entries E
    are uniform within ± `affine`.

    Raises:
        InnerloopError: `shift` is negative, `affine` is not from 0 to 0.5, which might turn an
            image inside out, or `colour` is not from 0 to 1.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> change = fewshot.Augmentation(flip=True, shift=1)
        >>> change(jnp.zeros((2, 4, 4, 1), jnp.uint8), key=jax.random.key(0)).shape
        (2, 4, 4, 1)
    """

    flip: bool = eqx.field(static=True, default=False)
    """Mirror half of the images."""
    shift: int = eqx.field(static=True, default=0)
    """Move images by up to this many pixels, across and up or down."""
    affine: float = eqx.field(static=True, default=0.0)
    """Turn, stretch and slant images: 0.15 is up to 8 degrees and 15 % either way."""
    colour: float = eqx.field(static=True, default=0.0)
    """Multiply brightness, saturation and contrast each by a factor within 1 ± this."""

    def __check_init__(self):
        if self.shift < 0:
            raise InnerloopError(f"shift is {self.shift}; it must not be negative.")
        if not 0 <= self.affine < 0.5:
            raise InnerloopError(f"affine is {self.affine}; it must be from 0 to less than 0.5.")
        if not 0 <= self.colour <= 1:
            raise InnerloopError(f"colour is {self.colour}; it must be from 0 to 1.")

    def __call__(
        self, images: UInt8[jax.Array, "n height width channels"], *, key: PRNGKeyArray
    ) -> UInt8[jax.Array, "n height width channels"]:
        """The images, changed.

        Args:
            images: Pixels from 0 to 255, uint8.
            key: Draws the changes.

        Raises:
            InnerloopError: Images are no larger than `shift`.
        """
        flip_key, shift_key = jax.random.split(key)
        affine_key = keys.affine(key)  # What the other two draw does not depend on it.
        n, *size = images.shape
        if self.flip:
            mirrored = jax.random.bernoulli(flip_key, shape=(n, 1, 1, 1))
            images = jnp.where(mirrored, images[:, :, ::-1], images)
        if self.affine:
            maps = jnp.eye(2) + jax.random.uniform(
                affine_key, (n, 2, 2), minval=-self.affine, maxval=self.affine
            )
            images = jax.vmap(_transform)(images, maps)
        if self.shift:
            if min(size[:2]) <= self.shift:
                raise InnerloopError(
                    f"Images of {size[1]}×{size[0]} pixels cannot be moved by {self.shift}."
                )
            edge = (self.shift, self.shift)
            padded = jnp.pad(images, ((0, 0), edge, edge, (0, 0)), mode="reflect")
            moves = jax.random.randint(shift_key, (n, 2), 0, 2 * self.shift + 1)
            images = jax.vmap(
                lambda image, move: jax.lax.dynamic_slice(image, (move[0], move[1], 0), size)
            )(padded, moves)
        if self.colour:
            images = _jitter(images, self.colour, keys.colour(key))
        return images


def _jitter(
    images: UInt8[jax.Array, "n height width channels"], amount: float, key: PRNGKeyArray
) -> UInt8[jax.Array, "n height width channels"]:
    """Brightness, saturation and contrast, each times a factor uniform in 1 ± `amount`."""
    shape = (3, images.shape[0], 1, 1, 1)
    bright, vivid, strong = jax.random.uniform(key, shape, minval=1 - amount, maxval=1 + amount)
    pixels = images.astype(jnp.float32) * bright
    grey = jnp.mean(pixels, axis=3, keepdims=True)
    pixels = grey + vivid * (pixels - grey)
    mean = jnp.mean(grey, axis=(1, 2), keepdims=True)
    pixels = mean + strong * (pixels - mean)
    return jnp.round(jnp.clip(pixels, 0, 255)).astype(jnp.uint8)


def _transform(
    image: UInt8[jax.Array, "height width channels"], matrix: Float[jax.Array, "2 2"]
) -> UInt8[jax.Array, "height width channels"]:
    """What lies at `matrix` times a pixel's place, seen from the centre, is brought to it."""
    height, width, _ = image.shape
    centre = jnp.array([height - 1, width - 1]) / 2
    places = jnp.stack(jnp.mgrid[:height, :width], axis=-1) - centre
    rows, columns = jnp.moveaxis(places @ matrix.T + centre, -1, 0)

    def channel(values):
        return jax.scipy.ndimage.map_coordinates(values, [rows, columns], order=1, mode="mirror")

    moved = jax.vmap(channel, in_axes=-1, out_axes=-1)(image.astype(jnp.float32))
    return jnp.round(moved).astype(jnp.uint8)


NONE = Augmentation()
