"""Images of meta-training, slightly changed: more of them than there are."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, UInt8

from ..errors import InnerloopError


@final
class Augmentation(eqx.Module):
    """Mirrors an image half of the time, if `flip`, and moves it by up to `shift` pixels.

    The move is drawn for rows and for columns by itself, uniformly; what comes in at an edge is
    the image mirrored there. Each image is changed by itself. Raises `InnerloopError` for a
    negative `shift`.
    """

    flip: bool = eqx.field(static=True, default=False)
    shift: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if self.shift < 0:
            raise InnerloopError(f"shift is {self.shift}; it must not be negative.")

    def __call__(
        self, images: UInt8[jax.Array, "n height width channels"], *, key: PRNGKeyArray
    ) -> UInt8[jax.Array, "n height width channels"]:
        """Raises `InnerloopError` where images are no larger than `shift`."""
        flip_key, shift_key = jax.random.split(key)
        n, *size = images.shape
        if self.flip:
            mirrored = jax.random.bernoulli(flip_key, shape=(n, 1, 1, 1))
            images = jnp.where(mirrored, images[:, :, ::-1], images)
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


NONE = Augmentation()
