"""Prototypical networks (Snell et al. 2017)."""

import dataclasses
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ...registry import register
from ...runtime.settings import Positive, check
from ..embedding import MetricLearner, squared_distances


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtonetSettings:
    """The settings of a prototypical network."""

    scale: Positive = 1.0
    """What squared distances are multiplied by."""

    def __post_init__(self):
        check(self)


@register("protonet")
@final
class PrototypicalNetwork(MetricLearner):
    """A class is the mean of its support images' embeddings, and the nearest class wins.

    Logits are minus `scale` times squared Euclidean distances: equation (2) of the paper, where
    it is 1. A network that has learned something else first has distances of another size, and
    needs another scale.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `PrototypicalNetwork.Settings`: scale; None for the defaults.
        key: Draws the backbone's parameters.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.PrototypicalNetwork(shape, backbone, key=jax.random.key(0))
        >>> images = jnp.zeros((2, 4, 4, 1), jnp.uint8)
        >>> support = fewshot.Labelled(images, jnp.asarray([0, 1]))
        >>> learner.adapt(support, 2, key=jax.random.key(1))(images).shape
        (2, 2)

    References:
        Snell, Swersky & Zemel, "Prototypical networks for few-shot learning" (2017,
        arXiv:1703.05175); Oreshkin et al., "TADAM" (2018, arXiv:1805.10123), for the scale.
    """

    Settings: ClassVar[type[Any]] = ProtonetSettings

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        members = jax.nn.one_hot(labels, way).T
        prototypes = members @ support / jnp.maximum(1, jnp.sum(members, 1, keepdims=True))
        return -self.settings.scale * squared_distances(query, prototypes)
