"""Classification of clusters that are seen through a random projection."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from .images8 import gaussian
from .mnist import Layers, cross_entropy


class Projection(eqx.Module):
    """Clusters in a space of few dimensions, and the matrix that they are seen through."""

    centres: Float[Array, "clusters dimensions"]
    classes: UInt8[Array, " clusters"]
    matrix: Float[Array, "dimensions inputs"]


@register("random-projection")
@final
class RandomProjection(TaskFamily):
    """Cross-entropy (nats) of a multilayer perceptron on clusters of random classes.

    A problem has 3 clusters for each of `classes` classes, at Gaussian places in `dimensions`
    dimensions. A point is a cluster's centre with Gaussian noise, projected by a random matrix to
    `inputs` numbers and passed through tanh. Each minibatch has fresh points. The network has one
    hidden layer of ReLU units.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for both layers, float32.

    Args:
        classes: Classes.
        dimensions: Dimensions of the space that clusters lie in.
        inputs: Numbers that the network sees.
        hidden: Hidden units.
        noise: The standard deviation of a point about its centre; centres have 1.
        batch: Points in a minibatch.

    Raises:
        SettingsError: A setting is out of its range.
    """

    classes: Count = eqx.field(static=True, default=8)
    dimensions: Count = eqx.field(static=True, default=8)
    inputs: Count = eqx.field(static=True, default=32)
    hidden: Count = eqx.field(static=True, default=32)
    noise: Positive = eqx.field(static=True, default=0.5)
    batch: Count = eqx.field(static=True, default=64)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Projection:
        centre_key, class_key, matrix_key = jax.random.split(key, 3)
        clusters = 3 * self.classes
        return Projection(
            jax.random.normal(centre_key, (clusters, self.dimensions)),
            jax.random.permutation(
                class_key, (jnp.arange(clusters) % self.classes).astype(jnp.uint8)
            ),
            gaussian(matrix_key, (self.dimensions, self.inputs)),
        )

    def init(self, problem: Projection, *, key: PRNGKeyArray) -> Layers:
        first_key, second_key = jax.random.split(key)
        return [
            (gaussian(first_key, (self.inputs, self.hidden)), jnp.zeros(self.hidden)),
            (gaussian(second_key, (self.hidden, self.classes)), jnp.zeros(self.classes)),
        ]

    def loss(self, params: Layers, problem: Projection, *, key: PRNGKeyArray) -> Float[Array, ""]:
        cluster_key, noise_key = jax.random.split(key)
        chosen = jax.random.randint(cluster_key, (self.batch,), 0, len(problem.centres))
        noise = self.noise * jax.random.normal(noise_key, (self.batch, self.dimensions))
        inputs = jnp.tanh((problem.centres[chosen] + noise) @ problem.matrix)
        (first, first_bias), (second, second_bias) = params
        logits = jax.nn.relu(inputs @ first + first_bias) @ second + second_bias
        return cross_entropy(logits, problem.classes[chosen])
