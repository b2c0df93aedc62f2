"""Batches of images of all classes: what joint training is on."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from ..datasets.class_images import ClassImages
from ..errors import InnerloopError
from .augment import NONE, Augmentation
from .episode import EpisodeSampler, Labelled
from .teacher import Teacher


@final
class BatchSampler(eqx.Module):
    """Draws batches of images of all classes alike, labelled by their class among all.

    Args:
        data: Images by class.
        batch: Images of a batch, 1 or more, drawn with replacement.
        augment: Random changes of the images.
        each: Images of each class of a batch. With 1 images are drawn whatever their class; with
            more a batch has batch // each classes.
        teacher: Another learner's opinion of the images, which batches then have as `targets`.

    Raises:
        InnerloopError: A number is not positive, or there are too few classes or images for
            `each`.

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
    classes: EpisodeSampler | None
    teacher: Teacher | None

    def __init__(
        self,
        data: ClassImages,
        *,
        batch: int,
        augment: Augmentation = NONE,
        each: int = 1,
        teacher: Teacher | None = None,
    ):
        for name, size in {"batch": batch, "each": each}.items():
            if size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        self.classes, self.teacher = None, teacher
        if each > 1:
            way = max(1, batch // each)
            self.classes = EpisodeSampler(data, way=way, shot=1, queries=each - 1)
        self.images = jnp.asarray(data.images)
        counts = jnp.asarray(data.counts)
        self.labels = jnp.repeat(jnp.arange(len(data.counts), dtype=jnp.int32), counts)
        self.batch, self.augment = batch, augment

    def sample(self, *, key: PRNGKeyArray) -> Labelled:
        choice_key, change_key = jax.random.split(key)
        if self.classes is None:
            chosen = jax.random.randint(choice_key, (self.batch,), 0, self.images.shape[0])
        else:
            chosen = jnp.concatenate(self.classes.draw(key=choice_key), axis=1).reshape(-1)
        images = self.augment(self.images[chosen], key=change_key)
        targets = None if self.teacher is None else self.teacher(chosen)
        return Labelled(images, self.labels[chosen], targets)
