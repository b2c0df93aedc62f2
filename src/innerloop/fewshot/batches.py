"""Batches of images of all classes: what joint training is on."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from ..datasets.class_images import ClassImages
from ..errors import InnerloopError
from .augment import NONE, Augmentation
from .episode import Labelled


@final
class BatchSampler(eqx.Module):
    """Draws batches of images of all classes alike, labelled by their class among all.

    Args:
        data: Images by class.
        batch: Images of a batch, 1 or more, drawn with replacement.
        augment: Random changes of the images.

    Raises:
        InnerloopError: `batch` is not positive.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from innerloop import datasets, fewshot
        >>> images = datasets.ClassImages(np.zeros((4, 4, 4, 1), np.uint8), (2, 2), ("zero", "one"))
        >>> sampler = fewshot.BatchSampler(images, batch=3)
        >>> sampler.sample(key=jax.random.key(0)).images.shape
        (3, 4, 4, 1)
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
