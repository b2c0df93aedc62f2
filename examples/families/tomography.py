"""Tomography: an image from its sums along the lines of eight angles.

innerloop train examples/families/tomography.py:Tomography
"""

import jax
import jax.numpy as jnp

import innerloop

SIDE, ANGLES = 14, 8
LINE = jnp.linspace(-1.0, 1.0, SIDE)
X, Y = jnp.meshgrid(LINE, LINE)


def projections():
    """A matrix [rays, pixels]: how much of each pixel is on each ray."""
    angles = jnp.pi * jnp.arange(ANGLES) / ANGLES
    places = X.ravel() * jnp.cos(angles)[:, None] + Y.ravel() * jnp.sin(angles)[:, None]
    rays = jnp.linspace(-1.3, 1.3, SIDE)
    weights = jax.nn.relu(1 - jnp.abs(places[:, None] - rays[:, None]) * SIDE / 2.6)
    return weights.reshape(ANGLES * SIDE, SIDE * SIDE)


class Tomography(innerloop.TaskFamily):
    """Least squares with a small penalty on differences of neighbours; 196 pixels."""

    def sample(self, *, key):
        keys = jax.random.split(key, 5)
        centres = jax.random.uniform(keys[0], (4, 2), minval=-0.6, maxval=0.6)
        axes = jax.random.uniform(keys[1], (4, 2), minval=0.15, maxval=0.5)
        heights = jax.random.uniform(keys[2], (4,), minval=0.3, maxval=1.0)
        inside = ((X[..., None] - centres[:, 0]) / axes[:, 0]) ** 2
        inside = inside + ((Y[..., None] - centres[:, 1]) / axes[:, 1]) ** 2
        image = jax.nn.sigmoid(8 * (1 - inside)) @ heights
        sums = projections() @ image.ravel()
        return sums + 0.05 * jax.random.normal(keys[3], sums.shape)

    def init(self, problem, *, key):
        return jnp.zeros((SIDE, SIDE))

    def loss(self, params, problem, *, key):
        rough = jnp.mean(jnp.diff(params, axis=0) ** 2) + jnp.mean(jnp.diff(params, axis=1) ** 2)
        return jnp.mean((projections() @ params.ravel() - problem) ** 2) + 0.02 * rough
