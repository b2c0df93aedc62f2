"""An image as a sinusoidal network: brightness as a function of the place.

innerloop train examples/families/image_network.py:ImageNetwork
"""

import jax
import jax.numpy as jnp

import innerloop

LINE = jnp.linspace(-1.0, 1.0, 16)
PLACES = jnp.stack(jnp.meshgrid(LINE, LINE), axis=-1).reshape(-1, 2)


class ImageNetwork(innerloop.TaskFamily):
    """Mean squared error on the 256 pixels of an image of five blobs."""

    def sample(self, *, key):
        centre_key, width_key, height_key = jax.random.split(key, 3)
        centres = jax.random.uniform(centre_key, (5, 2), minval=-0.8, maxval=0.8)
        widths = jax.random.uniform(width_key, (5,), minval=0.1, maxval=0.4)
        heights = jax.random.normal(height_key, (5,))
        apart = jnp.sum((PLACES[:, None] - centres) ** 2, axis=-1)
        return jnp.exp(-apart / (2 * widths**2)) @ heights

    def init(self, problem, *, key):
        keys = jax.random.split(key, 3)

        def layer(key, n, m, bound):
            return jax.random.uniform(key, (n, m), minval=-bound, maxval=bound), jnp.zeros(m)

        bound = jnp.sqrt(6 / 24)
        return [
            layer(keys[0], 2, 24, 3.0),
            layer(keys[1], 24, 24, bound),
            layer(keys[2], 24, 1, bound),
        ]

    def loss(self, params, problem, *, key):
        values = PLACES
        for weight, bias in params[:-1]:
            values = jnp.sin(values @ weight + bias)
        weight, bias = params[-1]
        return jnp.mean(((values @ weight + bias)[:, 0] - problem) ** 2)
