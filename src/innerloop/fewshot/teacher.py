"""What a trained learner thinks of the images of meta-training, for another to learn from."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..datasets.class_images import ClassImages
from ..errors import InnerloopError
from ._base import MetaLearner
from .classifiers import unit
from .embedding import EmbeddingLearner
from .files import method_of
from .kept import embed_all

_SHRINKAGE = 1.0


@final
class Teacher(eqx.Module):
    """A learner's embedding as a classifier of the classes of meta-training.

    Classes are Gaussians with one covariance, and logits their log densities. Images are embedded
    once, as they are: a student sees them changed.

    Attributes:
        features: Of all images of meta-training.
        weight: The linear classifier upon them.
        bias: The same.

    Args:
        learner: A learner whose embedding no episode changes.
        data: The images that the student is trained on.

    Raises:
        InnerloopError: The learner changes its embedding in an episode, or takes other images.

    References:
        Furlanello et al., "Born-again neural networks" (2018, arXiv:1805.04770); Tian et al. 2020
        (arXiv:2003.11539), section 3.3.
    """

    features: Float[Array, "images width"]
    weight: Float[Array, "classes width"]
    bias: Float[Array, " classes"]

    def __init__(self, learner: MetaLearner, data: ClassImages):
        name = method_of(learner)
        if not isinstance(learner, EmbeddingLearner):
            raise InnerloopError(
                f"A teacher is a learner with an embedding that stays; {name} has none."
            )
        shape = learner.shape
        if data.images.shape[1:] != (shape.side, shape.side, shape.channels):
            raise InnerloopError(
                f"The teacher takes images of {shape.side}×{shape.side}×{shape.channels}; those of "
                f"training have {data.images.shape[1]}×{data.images.shape[2]}×"
                f"{data.images.shape[3]}."
            )
        features = np.asarray(unit(embed_all(learner, jnp.asarray(data.images))), np.float64)
        labels = np.repeat(np.arange(len(data.counts)), data.counts)
        sums = np.zeros((len(data.counts), features.shape[1]))
        np.add.at(sums, labels, features)
        means = sums / np.asarray(data.counts)[:, None]
        rest = features - means[labels]
        within = rest.T @ rest / len(labels)
        within += _SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
        weight = np.linalg.solve(within, means.T).T
        self.features = jnp.asarray(features, jnp.float32)
        self.weight = jnp.asarray(weight, jnp.float32)
        self.bias = jnp.asarray(-0.5 * np.sum(weight * means, 1), jnp.float32)

    def __call__(self, chosen: Int[Array, " n"]) -> Float[Array, "n classes"]:
        """Logits of images, by their number in the data."""
        return self.features[chosen] @ self.weight.T + self.bias
