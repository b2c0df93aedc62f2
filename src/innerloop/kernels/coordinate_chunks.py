"""A coordinatewise update a block of coordinates at a time, so that it stays in the caches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

AT_ONCE = 8192
"""Coordinates of a block. The states and gates of an LSTM are then four megabytes."""
MANY = 1 << 16
"""With fewer coordinates cutting costs more than it gains: at 16,000 it took a fifth longer."""

Update = Callable[[Array, PyTree], tuple[Array, PyTree]]


def in_blocks(
    update: Update, gradient: Float[Array, " coordinates"], state: PyTree
) -> tuple[Float[Array, " coordinates"], PyTree]:
    """`update(gradient, state)`, whose arrays' last axis is `coordinates`.

    On one core 66,000 coordinates of the paper's LSTM took 22 ms in blocks and 39 ms at once, a
    million 0.47 and 0.59 s. Other backends take all at once.
    """
    coordinates = gradient.shape[-1]
    if coordinates <= MANY or jax.default_backend() != "cpu":
        return update(gradient, state)
    before = (gradient, state)

    def block(number, after):
        # The last block begins early enough to be whole, and makes some coordinates twice.
        first = jnp.minimum(number * AT_ONCE, coordinates - AT_ONCE)
        columns = jax.tree.map(
            lambda leaf: lax.dynamic_slice_in_dim(leaf, first, AT_ONCE, axis=-1), before
        )
        return jax.tree.map(
            lambda leaf, part: lax.dynamic_update_slice_in_dim(leaf, part, first, axis=-1),
            after,
            update(*columns),
        )

    nothing = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(update, *before)
    )
    return lax.fori_loop(0, -(-coordinates // AT_ONCE), block, nothing)
