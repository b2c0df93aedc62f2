"""A task as large as the base network on MNIST, with no need of the data."""

from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, UInt8

from innerloop import TaskFamily


@final
class RandomImages(TaskFamily):
    """784 → 20 sigmoid → 10 on minibatches of 128 of 4,096 random images: 15,910 parameters."""

    images: UInt8[Array, "n 784"]
    labels: UInt8[Array, " n"]

    def __init__(self):
        image_key, label_key = jax.random.split(jax.random.key(7))
        self.images = jax.random.randint(image_key, (4096, 784), 0, 256).astype(jnp.uint8)
        self.labels = jax.random.randint(label_key, (4096,), 0, 10).astype(jnp.uint8)

    def sample(self, *, key):
        return None

    def init(self, problem, *, key):
        keys = jax.random.split(key, 4)
        shapes = ((784, 20), (20,), (20, 10), (10,))
        return [0.01 * jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]

    def loss(self, params, problem, *, key):
        w, b, v, c = params
        chosen = jax.random.randint(key, (128,), 0, len(self.images))
        units = jax.nn.sigmoid(self.images[chosen].astype(jnp.float32) / 255 @ w + b)
        labels = self.labels[chosen].astype(jnp.int32)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(units @ v + c, labels))
