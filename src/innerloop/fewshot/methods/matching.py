"""Matching networks (Vinyals et al. 2016)."""

from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ...registry import register
from .._base import Shape
from ..backbones import Backbone
from ..embedding import MetricLearner, cosine


@register("matching")
@final
class MatchingNetwork(MetricLearner):
    """A query's class is voted for by the support images, by how like they are to it.

    P(y | x) = Σ_i a(x, x_i) y_i, with a the softmax of cosine similarities.

    Attributes:
        sharpness: Multiplies the similarities, which are at most 1. It is learned, and begins
            at 10; the paper has none.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: None: there are no settings.
        key: Draws the backbone's parameters.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.MatchingNetwork(shape, backbone, key=jax.random.key(0))
        >>> float(learner.sharpness)
        10.0

    References:
        Vinyals et al., "Matching networks for one shot learning" (2016, arXiv:1606.04080), equation
        (1).
    """

    sharpness: Float[Array, ""]

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=jax.random.split(key)[0])
        self.sharpness = jnp.asarray(10.0)

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        return vote(self.sharpness, support, labels, query, way)


def vote(
    sharpness: Float[Array, ""],
    support: Float[Array, "n features"],
    labels: Int[Array, " n"],
    query: Float[Array, "m features"],
    way: int,
) -> Float[Array, "m way"]:
    """The log-probabilities of the classes, by the support images' likeness to each query."""
    attention = jax.nn.softmax(sharpness * cosine(query, support))
    return jnp.log(attention @ jax.nn.one_hot(labels, way) + 1e-6)
