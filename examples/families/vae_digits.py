"""Variational autoencoders on small digits, drawn with strokes of random place and width.

innerloop train examples/families/vae_digits.py:DigitAutoencoder
"""

import jax
import jax.numpy as jnp

import innerloop

SEGMENTS = jnp.array(  # x, y of both ends of the seven strokes of a digital clock
    [
        [[0, 2], [1, 2]], [[0, 1], [0, 2]], [[1, 1], [1, 2]], [[0, 1], [1, 1]],
        [[0, 0], [0, 1]], [[1, 0], [1, 1]], [[0, 0], [1, 0]],
    ]
)  # fmt: skip
DIGITS = jnp.array(
    [[int(bit) for bit in f"{code:07b}"] for code in (119, 18, 93, 91, 58, 107, 111, 82, 127, 123)]
)


def draw(digit, key):
    """An image of 8×8 pixels between 0 and 1, of a digit at a random place."""
    keys = jax.random.split(key, 3)
    place = jnp.array([2.5, 1.5]) + 0.7 * jax.random.normal(keys[0], (2,))
    ends = 2.3 * SEGMENTS + place + 0.2 * jax.random.normal(keys[1], (7, 2, 2))
    start, way = ends[:, 0], ends[:, 1] - ends[:, 0]
    pixels = jnp.stack(jnp.meshgrid(jnp.arange(8.0), jnp.arange(8.0)), axis=-1)[:, :, None]
    along = jnp.sum((pixels - start) * way, -1) / jnp.sum(way**2, -1)
    apart = pixels - start - jnp.clip(along, 0, 1)[..., None] * way
    ink = jnp.exp(-2 * jnp.sum(apart**2, -1)) * DIGITS[digit]
    return jnp.max(ink, axis=-1).ravel()


class DigitAutoencoder(innerloop.TaskFamily):
    """Negative evidence lower bound (nats a pixel); a problem is three of the ten digits."""

    def sample(self, *, key):
        return jax.random.choice(key, 10, (3,), replace=False)

    def init(self, problem, *, key):
        sizes = {"encode": (64, 32), "code": (32, 8), "decode": (4, 32), "pixels": (32, 64)}
        keys = jax.random.split(key, len(sizes))
        return {
            name: {"w": jax.random.normal(key, size) / jnp.sqrt(size[0]), "b": jnp.zeros(size[1])}
            for key, (name, size) in zip(keys, sizes.items(), strict=True)
        }

    def loss(self, params, problem, *, key):
        def layer(name, x):
            return x @ params[name]["w"] + params[name]["b"]

        digit_key, image_key, noise_key = jax.random.split(key, 3)
        digits = jax.random.choice(digit_key, problem, (16,))
        images = jax.vmap(draw)(digits, jax.random.split(image_key, 16))
        mean, log_deviation = jnp.split(layer("code", jnp.tanh(layer("encode", images))), 2, axis=1)
        code = mean + jnp.exp(log_deviation) * jax.random.normal(noise_key, mean.shape)
        logits = layer("pixels", jnp.tanh(layer("decode", code)))
        seen = jnp.sum(jax.nn.softplus(logits) - images * logits, axis=1)
        told = 0.5 * mean**2 + 0.5 * jnp.exp(2 * log_deviation) - log_deviation - 0.5
        return jnp.mean(seen + jnp.sum(told, axis=1)) / 64
