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

    It is turned, stretched and slanted about its centre by the matrix I + E, whose entries E are
    uniform within ± `affine`: with 0.15, by up to 8 degrees and 15 % either way. It is moved by up
    to `shift` whole pixels, drawn uniformly for rows and for columns. What comes in at an edge
    is the image mirrored there. Each image is changed by itself. Raises `InnerloopError` for a
    negative `shift`, and for a `affine` outside 0 to 0.5, which might turn it inside out.
    """

    flip: bool = eqx.field(static=True, default=False)
    shift: int = eqx.field(static=True, default=0)
    affine: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if self.shift < 0:
            raise InnerloopError(f"shift is {self.shift}; it must not be negative.")
        if not 0 <= self.affine < 0.5:
            raise InnerloopError(f"affine is {self.affine}; it must be from 0 to less than 0.5.")

    def __call__(
        self, images: UInt8[jax.Array, "n height width channels"], *, key: PRNGKeyArray
    ) -> UInt8[jax.Array, "n height width channels"]:
        """Raises `InnerloopError` where images are no larger than `shift`."""
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
        return images


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
