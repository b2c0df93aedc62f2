"""The baselines of Ravi & Larochelle (2017, Section 5.2): an embedding that was trained jointly."""

import math
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..datasets.class_images import ClassImages
from ..errors import InnerloopError
from ._base import MetaLearner, Predictor, cross_entropy
from .augment import NONE, Augmentation
from .episode import Labelled
from .metric import Embedding, MetricLearner, cosine, no_statistics, squared_distances
from .network import Conv4, Params, Statistics


@final
class PixelNeighbour(MetaLearner):
    """A query belongs to the class of the support image nearest to it, pixel by pixel.

    Nothing is learned: what the images alone give away.
    """

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "NearPixels":
        return NearPixels(support, way)


@final
class NearPixels(Predictor):
    """A support set's pixels."""

    support: Labelled
    way: int = eqx.field(static=True)

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n way"]:
        def rows(images: Array) -> Array:
            return images.reshape(images.shape[0], -1).astype(jnp.float32) / 255

        near = -squared_distances(rows(images), rows(self.support.images))
        return nearest_of_class(near, self.support.labels, self.way)


def nearest_of_class(
    near: Float[Array, "m n"], labels: Int[Array, " n"], way: int
) -> Float[Array, "m way"]:
    """How near the nearest support image of each class is to each query."""
    mine = labels[None] == jnp.arange(way)[:, None]
    return jnp.max(jnp.where(mine[None], near[:, None], -jnp.inf), axis=2)


@final
class BatchSampler(eqx.Module):
    """Draws batches of images of all classes alike, labelled by their class among all.

    They are changed by `augment`. Raises `InnerloopError` where `batch` is not positive.
    """

    images: UInt8[Array, "images height width channels"]
    labels: Int[Array, " images"]
    batch: int = eqx.field(static=True)
    augment: Augmentation

    def __init__(self, data: ClassImages, *, batch: int, augment: Augmentation = NONE):
        if batch < 1:
            raise InnerloopError(f"batch is {batch}; it must be at least 1.")
        self.images = jnp.asarray(data.images)
        counts = jnp.asarray(data.counts)
        self.labels = jnp.repeat(jnp.arange(len(data.counts), dtype=jnp.int32), counts)
        self.batch, self.augment = batch, augment

    def sample(self, *, key: PRNGKeyArray) -> Labelled:
        choice_key, change_key = jax.random.split(key)
        chosen = jax.random.randint(choice_key, (self.batch,), 0, self.images.shape[0])
        images = self.augment(self.images[chosen], key=change_key)
        return Labelled(images, self.labels[chosen])


def joint_loss(learner: Embedding, batch: Labelled) -> Float[Array, ""]:
    """The cross-entropy of a batch's labels among all classes of meta-training."""
    logits, _ = learner.network.logits(learner.params, batch.images)
    return cross_entropy(logits, batch.labels)


@final
class NearestNeighbour(MetricLearner):
    """A query belongs to the class of the support image whose embedding is nearest.

    The embedding was trained to tell all classes of meta-training apart, all at once.
    """

    network: Conv4
    params: Params
    statistics: Statistics
    distance: Literal["euclidean", "cosine"] = eqx.field(static=True)

    def __init__(
        self,
        network: Conv4,
        *,
        key: PRNGKeyArray,
        distance: Literal["euclidean", "cosine"] = "cosine",
    ):
        if distance not in ("euclidean", "cosine"):
            raise InnerloopError(f"distance is '{distance}'; it must be 'euclidean' or 'cosine'.")
        self.network, self.params = network, network.init(key=key)
        self.statistics, self.distance = no_statistics(network), distance

    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        near = (
            cosine(query, support)
            if self.distance == "cosine"
            else -squared_distances(query, support)
        )
        return nearest_of_class(near, labels, way)

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """`joint_loss`; `episode` is a batch, a `Labelled`."""
        return joint_loss(self, episode)


@final
class FineTuning(Embedding):
    """A new output layer is trained on the support set by gradient descent, `steps` times.

    Its rate after t steps is rate / (1 + decay · t); both are tuned on meta-validation.
    """

    network: Conv4
    params: Params
    statistics: Statistics
    rate: float = eqx.field(static=True)
    decay: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def __init__(
        self,
        network: Conv4,
        *,
        key: PRNGKeyArray,
        rate: float = 0.1,
        decay: float = 0.0,
        steps: int = 100,
    ):
        if not (0 < rate < math.inf and 0 <= decay < math.inf):
            raise InnerloopError(
                f"rate is {rate} and decay {decay}; the one must be positive, the other at least 0."
            )
        if steps < 1:
            raise InnerloopError(f"steps is {steps}; it must be at least 1.")
        self.network, self.params = network, network.init(key=key)
        self.statistics = no_statistics(network)
        self.rate, self.decay, self.steps = rate, decay, steps

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """`joint_loss`; `episode` is a batch, a `Labelled`."""
        return joint_loss(self, episode)

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Linear":
        features = self.embed(support.images)
        optimizer = optax.sgd(lambda count: self.rate / (1 + self.decay * count))
        weight = jax.random.normal(key, (way, features.shape[1])) / jnp.sqrt(features.shape[1])
        head = (weight, jnp.zeros(way))

        def loss(head):
            return cross_entropy(features @ head[0].T + head[1], support.labels)

        def step(carry, _):
            head, state = carry
            updates, state = optimizer.update(jax.grad(loss)(head), state, head)
            head = jax.tree.map(jnp.add, head, updates)
            return (head, state), None

        (head, _), _ = jax.lax.scan(step, (head, optimizer.init(head)), length=self.steps)
        return Linear(self, head)


@final
class Linear(Predictor):
    """An output layer upon an embedding."""

    learner: FineTuning
    head: tuple[Float[Array, "way features"], Float[Array, " way"]]

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n way"]:
        features = self.learner.embed(images, batch_statistics=batch_statistics)
        return features @ self.head[0].T + self.head[1]
