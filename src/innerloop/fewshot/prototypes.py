"""Prototypical networks (Snell et al. 2017)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..errors import InnerloopError
from .metric import MetricLearner, no_statistics, squared_distances
from .network import Conv4, Params, Statistics


@final
class PrototypicalNetwork(MetricLearner):
    """A class is the mean of its support images' embeddings, and the nearest class wins.

    Logits are minus `scale` times squared Euclidean distances: equation (2) of Snell, Swersky &
    Zemel, "Prototypical networks for few-shot learning" (2017, arXiv:1703.05175), where it is 1.
    A network that has learned something else first has distances of another size, and needs
    another (Oreshkin et al. 2018, arXiv:1805.10123). Raises `InnerloopError` for a `scale` that
    is not positive.
    """

    network: Conv4
    params: Params
    statistics: Statistics
    scale: float = eqx.field(static=True)

    def __init__(self, network: Conv4, *, key: PRNGKeyArray, scale: float = 1.0):
        if not scale > 0:
            raise InnerloopError(f"scale is {scale}; it must be positive.")
        self.scale = scale
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
        return -self.scale * squared_distances(query, prototypes)
