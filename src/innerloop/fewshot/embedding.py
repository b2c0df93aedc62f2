"""What learners share whose network stays as it is in an episode: statistics, and distances."""

import abc
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ._base import MetaLearner, Predictor, Shape, cross_entropy
from .backbones import Backbone, Params, Statistics
from .episode import Labelled
from .head import apply_head, init_head

_STATISTICS_DRAWS = 50  # Episodes or batches that statistics are averaged over.


class EmbeddingLearner(MetaLearner):
    """A meta-learner that embeds images by a backbone that no episode changes.

    Attributes:
        params: The backbone's parameters.
        statistics: What units are normalised by in use: averages over episodes or batches of
            meta-training, which `finalize` makes. No gradient reaches them.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`; None for the defaults.
        key: Draws the initial arrays.
    """

    params: Params
    statistics: Statistics

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)
        self.params = backbone.init(key=key)
        self.statistics = backbone.init_statistics()

    def embed(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n features"]:
        """Features of images.

        Args:
            images: Pixels from 0 to 255.
            transductive: Normalise by the statistics of these images, not by `statistics`.
        """
        statistics = None if transductive else self.statistics
        return self.backbone.features(self.params, images, statistics)[0]

    def finalize(self, source: Any, *, key: PRNGKeyArray) -> "EmbeddingLearner":
        """With `statistics` averaged over the images of 50 episodes or batches."""
        found = gather_statistics(self, source, key)
        return eqx.tree_at(lambda learner: learner.statistics, self, found)


class MetricLearner(EmbeddingLearner):
    """A meta-learner that compares embeddings: a subclass says by `compare` how.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`; None for the defaults.
        key: Draws the initial arrays.
    """

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)

    @abc.abstractmethod
    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        """Logits of query embeddings.

        Args:
            support: Embeddings of the support set.
            labels: The class of each, from 0 to way − 1.
            query: Embeddings of the queries.
            way: Classes in the support set.
        """

    @property
    def keeps_features(self) -> bool:
        return True

    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Compared":
        return Compared(self, self.embed(support.images), support.labels, way)

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The query set's cross-entropy; all images are normalised together."""
        support, query = episode.support, episode.query
        images = jnp.concatenate([support.images, query.images])
        features = self.embed(images, transductive=True)
        parts = jnp.split(features, [support.images.shape[0]])
        return cross_entropy(self.compare(parts[0], support.labels, parts[1], way), query.labels)


@final
class Compared(Predictor):
    """The embeddings of a support set, which queries are compared with."""

    learner: MetricLearner
    support: Float[Array, "n features"]
    labels: Int[Array, " n"]
    way: int = eqx.field(static=True)

    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, transductive: bool = False
    ) -> Float[Array, "n way"]:
        query = self.learner.embed(images, transductive=transductive)
        return self.learner.compare(self.support, self.labels, query, self.way)


class JointlyTrained(EmbeddingLearner):
    """An embedding that is trained to tell all classes of meta-training apart, all at once.

    Attributes:
        head: The output layer of that training; None in use.

    Args:
        shape: The episodes and images that it is made for.
        backbone: Turns images into features.
        settings: An instance of the class's `Settings`; None for the defaults.
        key: Draws the backbone's parameters.
    """

    trained_on = "batches"

    head: dict[str, Float[Array, "..."]] | None

    def __init__(
        self, shape: Shape, backbone: Backbone, settings: Any = None, *, key: PRNGKeyArray
    ):
        super().__init__(shape, backbone, settings, key=key)
        self.head = init_head(backbone.width, shape.classes)

    def meta_loss(self, episode: Any, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The cross-entropy (nats) of a batch's labels, a `Labelled`, among all classes."""
        assert self.head is not None, "A learner for use has no output layer to train."
        features = self.embed(episode.images, transductive=True)
        return cross_entropy(apply_head(self.head, features), episode.labels)

    def for_use(self) -> "JointlyTrained":
        return eqx.tree_at(lambda learner: learner.head, self, None, is_leaf=lambda x: x is None)


@eqx.filter_jit
def gather_statistics(learner: Any, source: Any, key: PRNGKeyArray) -> Statistics:
    """What units are normalised by, averaged over 50 episodes or batches.

    Args:
        learner: A learner with a backbone and its parameters.
        source: What it is trained on.
        key: Draws from it.
    """

    def one(key):
        images = [leaf for leaf in jax.tree.leaves(source.sample(key=key)) if leaf.ndim == 4]
        return learner.backbone.features(learner.params, jnp.concatenate(images))[1]

    found = jax.lax.map(one, jax.random.split(key, _STATISTICS_DRAWS))
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), found)


def squared_distances(
    of: Float[Array, "n features"], to: Float[Array, "m features"]
) -> Float[Array, "n m"]:
    """Squared Euclidean distances."""
    return jnp.sum(of**2, 1)[:, None] - 2 * of @ to.T + jnp.sum(to**2, 1)[None]


def cosine(of: Float[Array, "n features"], to: Float[Array, "m features"]) -> Float[Array, "n m"]:
    """Cosine similarities."""

    def unit(rows: Array) -> Array:
        return rows * jax.lax.rsqrt(jnp.sum(rows**2, 1, keepdims=True) + 1e-12)

    return unit(of) @ unit(to).T


def nearest_of_class(
    near: Float[Array, "m n"], labels: Int[Array, " n"], way: int
) -> Float[Array, "m way"]:
    """How near the nearest support image of each class is to each query."""
    mine = labels[None] == jnp.arange(way)[:, None]
    return jnp.max(jnp.where(mine[None], near[:, None], -jnp.inf), axis=2)
