"""The nearest-neighbour baseline of Ravi & Larochelle (2017, Section 5.2)."""

import dataclasses
from typing import Any, ClassVar, Literal, final

from jaxtyping import Array, Float, Int

from ...registry import register
from ...runtime.settings import check
from .._base import Judge
from ..embedding import (
    JointlyTrained,
    MetricLearner,
    cosine,
    nearest_of_class,
    squared_distances,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestNeighbourSettings:
    """The settings of the nearest-neighbour baseline."""

    distance: Literal["cosine", "euclidean"] = "cosine"
    """How near two embeddings are; chosen on validation episodes."""

    def __post_init__(self):
        check(self)


@register("nearest-neighbour")
@final
class NearestNeighbour(JointlyTrained, MetricLearner):
    """A query belongs to the class of the support image whose embedding is nearest.

    The embedding is trained to tell all classes of meta-training apart, all at once.

    Attributes:
        head: The output layer of training; None in use.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: A `NearestNeighbour.Settings`: distance; None for the defaults.
        key: Draws the backbone's parameters.

    Example:
        >>> import jax
        >>> from innerloop import fewshot
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=3)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.NearestNeighbour(shape, backbone, key=jax.random.key(0))
        >>> learner.head["weight"].shape
        (3, 8)

    References:
        Ravi & Larochelle, "Optimization as a model for few-shot learning" (2017), Section 5.2.
    """

    Settings: ClassVar[type[Any]] = NearestNeighbourSettings

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        near = (
            cosine(query, support)
            if self.settings.distance == "cosine"
            else -squared_distances(query, support)
        )
        return nearest_of_class(near, labels, way)

    def tune(self, judge: Judge) -> dict[str, Any]:
        """The better distance."""
        return max([{"distance": each} for each in ("cosine", "euclidean")], key=judge)
