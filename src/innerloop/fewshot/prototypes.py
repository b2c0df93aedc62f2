"""Prototypical networks (Snell et al. 2017)."""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .metric import MetricLearner, no_statistics, squared_distances
from .network import Conv4, Params, Statistics


@final
class PrototypicalNetwork(MetricLearner):
    """A class is the mean of its support images' embeddings, and the nearest class wins.

    Logits are minus squared Euclidean distances: equation (2) of Snell, Swersky & Zemel,
    "Prototypical networks for few-shot learning" (2017, arXiv:1703.05175).
    """

    network: Conv4
    params: Params
    statistics: Statistics

    def __init__(self, network: Conv4, *, key: PRNGKeyArray):
        self.network, self.params = network, network.init(key=key)
        self.statistics = no_statistics(network)

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        members = jax.nn.one_hot(labels, way).T
        prototypes = members @ support / jnp.maximum(1, jnp.sum(members, 1, keepdims=True))
        return -squared_distances(query, prototypes)
