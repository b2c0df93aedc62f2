"""A graph network that finds communities from a few known members (Kipf & Welling 2017)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ..registry import register
from ..runtime.settings import Count, Positive, check
from ._base import TaskFamily
from ._on_mnist import dense
from .mnist import Layers

_WITHIN, _BETWEEN = 0.3, 0.05  # Chances of an edge.


class Graph(eqx.Module):
    """A graph, what is known of its nodes, and which community each one is of."""

    links: Float[Array, "nodes nodes"]
    """Edges and loops, over the square roots of both ends' degrees."""
    features: Float[Array, "nodes features"]
    communities: UInt8[Array, " nodes"]


@register("communities")
@final
class Communities(TaskFamily):
    """Cross-entropy (nats) of a graph convolutional network on the communities of random graphs.

    A problem is a graph: edges join nodes of one community with chance 0.3, and others with 0.05.
    A node's features are Gaussian about its community's random centre, so noisy that they alone
    tell little. The loss is over half of the nodes, all at once, and has no noise; the held-out
    loss is over the other half.

    Parameters are a list with (weight [inputs, outputs], bias [outputs]) for both layers, float32.

    Args:
        nodes: Nodes of a graph.
        communities: Communities.
        features: Features of a node.
        noise: Standard deviation of features about their centre; centres have 1.
        hidden: Units of the hidden layer.

    Raises:
        SettingsError: A setting is out of its range.

    References:
        Kipf & Welling, "Semi-supervised classification with graph convolutional networks" (2017,
        arXiv:1609.02907).
    """

    nodes: Count = eqx.field(static=True, default=128)
    communities: Count = eqx.field(static=True, default=4)
    features: Count = eqx.field(static=True, default=16)
    noise: Positive = eqx.field(static=True, default=3.0)
    hidden: Count = eqx.field(static=True, default=32)

    def __check_init__(self):
        check(self)

    def sample(self, *, key: PRNGKeyArray) -> Graph:
        edge_key, centre_key, noise_key = jax.random.split(key, 3)
        communities = jnp.arange(self.nodes) % self.communities
        together = communities[:, None] == communities
        chances = jnp.where(together, _WITHIN, _BETWEEN)
        drawn = jnp.triu(jax.random.uniform(edge_key, chances.shape) < chances, 1)
        edges = (drawn | drawn.T).astype(jnp.float32) + jnp.eye(self.nodes)
        root = jax.lax.rsqrt(jnp.sum(edges, axis=1))
        centres = jax.random.normal(centre_key, (self.communities, self.features))
        noise = self.noise * jax.random.normal(noise_key, (self.nodes, self.features))
        links = root[:, None] * edges * root
        return Graph(links, centres[communities] + noise, communities.astype(jnp.uint8))

    def init(self, problem: Graph, *, key: PRNGKeyArray) -> Layers:
        return dense(key, (self.features, self.hidden, self.communities))

    def loss(self, params: Layers, problem: Graph, *, key: PRNGKeyArray) -> Float[Array, ""]:
        return self._on_half(params, problem, 0)

    def held_out_loss(
        self, params: Layers, problem: Graph, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self._on_half(params, problem, 1)

    def _on_half(self, params: Layers, problem: Graph, half: int) -> Float[Array, ""]:
        (first, first_bias), (second, second_bias) = params
        units = jax.nn.relu(problem.links @ (problem.features @ first) + first_bias)
        logits = problem.links @ (units @ second) + second_bias
        # Neighbours in number are of different communities: blocks take turns.
        chosen = jnp.arange(self.nodes) // self.communities % 2 == half
        losses = -jnp.take_along_axis(
            jax.nn.log_softmax(logits), problem.communities[:, None].astype(jnp.int32), axis=1
        )
        return jnp.sum(losses[:, 0] * chosen) / jnp.maximum(1, jnp.sum(chosen))
