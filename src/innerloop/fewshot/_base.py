"""What a meta-learner is: it turns a support set into a predictor."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .episode import Episode, Labelled


class Predictor(eqx.Module):
    """A classifier that has learned from a support set."""

    @abc.abstractmethod
    def __call__(
        self, images: UInt8[Array, "n height width channels"], *, batch_statistics: bool = False
    ) -> Float[Array, "n way"]:
        """Logits of the classes.

        Units are normalised by statistics that were there before these images, so that every
        image is judged alone. With `batch_statistics` they are these images' own: in
        meta-training, or for transductive results.
        """


class MetaLearner(eqx.Module):
    """A frozen pytree whose array leaves are learned over many episodes."""

    @abc.abstractmethod
    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> Predictor:
        """Learn from a support set of `way` classes; `key` draws whatever is random."""

    def meta_loss(self, episode: Episode, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The cross-entropy (nats) on the query set of what was learned from the support set.

        Query images are normalised by their own statistics, as in the papers' meta-training.
        """
        predict = self.adapt(episode.support, way, key=key)
        logits = predict(episode.query.images, batch_statistics=True)
        return cross_entropy(logits, episode.query.labels)

    def gathered(self, problems: Any, *, key: PRNGKeyArray) -> "MetaLearner":
        """This learner ready for use after training on `problems`: itself, for most.

        Those that normalise by statistics of meta-training gather them here.
        """
        return self


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The mean negative log-probability (nats) of the labels."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(chosen)
