"""What the metric meta-learners share: an embedding, and statistics of meta-training."""

import abc
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ._base import MetaLearner, Predictor, cross_entropy
from .episode import Episode, Labelled
from .network import BLOCKS, Conv4, Params, Statistics

_GATHERED = 50  # Problems that statistics are averaged over.


class Embedding(MetaLearner):
    """A meta-learner that embeds images, and whose network stays as it is in an episode.

    In use, units are normalised by `statistics`, averages over problems of meta-training that
    `gathered` makes; no gradient reaches them.
    """

    network: eqx.AbstractVar[Conv4]
    params: eqx.AbstractVar[Params]
    statistics: eqx.AbstractVar[Statistics]

    def embed(
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n features"]:
        """Features, normalised by `statistics` or by these images' own."""
        statistics = None if batch_statistics else self.statistics
        return self.network.features(self.params, images, statistics)[0]

    def gathered(self, problems: Any, *, key: PRNGKeyArray) -> "Embedding":
        """With `statistics` averaged over the images of 50 training problems."""
        found = _gather(self, problems, key)
        return eqx.tree_at(lambda learner: learner.statistics, self, found)


class MetricLearner(Embedding):
    """A meta-learner that compares embeddings."""

    @abc.abstractmethod
    def compare(
        self,
        support: Float[Array, "n features"],
        labels: Int[Array, " n"],
        query: Float[Array, "m features"],
        way: int,
    ) -> Float[Array, "m way"]:
        """Logits of the query embeddings."""

    @final
    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> "Compared":
        return Compared(self, self.embed(support.images), support.labels, way)

    def meta_loss(self, episode: Episode, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The query set's cross-entropy; all images are normalised together."""
        support, query = episode.support, episode.query
        images = jnp.concatenate([support.images, query.images])
        features = self.embed(images, batch_statistics=True)
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
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n way"]:
        query = self.learner.embed(images, batch_statistics=batch_statistics)
        return self.learner.compare(self.support, self.labels, query, self.way)


@eqx.filter_jit
def _gather(learner: Embedding, problems: Any, key: PRNGKeyArray) -> Statistics:
    def one(key):
        images = [leaf for leaf in jax.tree.leaves(problems.sample(key=key)) if leaf.ndim == 4]
        return learner.network.features(learner.params, jnp.concatenate(images))[1]

    found = jax.lax.map(one, jax.random.split(key, _GATHERED))
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), found)


def no_statistics(network: Conv4) -> Statistics:
    """What stands in until statistics are gathered: mean 0, variance 1."""
    filters = network.filters
    return {name: (jnp.zeros(filters), jnp.ones(filters)) for name in BLOCKS}


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
