"""What a meta-learner is: it turns a support set into a predictor."""

import abc
from typing import Any, ClassVar

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

    registry_kind: ClassVar[str] = "method"

    @abc.abstractmethod
    def adapt(self, support: Labelled, way: int, *, key: PRNGKeyArray) -> Predictor:
        """Learn from a support set of `way` classes; `key` draws whatever is random."""

    def meta_loss(self, episode: Episode, way: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """What meta-training descends: the cross-entropy (nats) on the episode's query set.

        Query images are normalised by their own statistics, as in the papers' meta-training,
        unless the meta-learner says otherwise. Raises `NotImplementedError` where there is
        nothing to learn.
        """
        raise NotImplementedError(f"There is nothing to learn in {type(self).__name__}.")

    def gathered(self, problems: Any, *, key: PRNGKeyArray) -> "MetaLearner":
        """This learner ready for use after training on `problems`: itself, for most.

        Those that normalise by statistics of meta-training gather them here.
        """
        return self


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The mean negative log-probability (nats) of the labels."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(chosen)
