"""Episodes: N-way K-shot problems, drawn from images that are grouped by class."""

from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .. import keys
from ..datasets.class_images import ClassImages
from ..errors import InnerloopError
from .augment import NONE, Augmentation


class Labelled(eqx.Module):
    """Images, and the class of each.

    Attributes:
        images: Pixels from 0 to 255, uint8 [n, height, width, channels].
        labels: Integers from 0 to way − 1, [n].
        targets: A teacher's logits of the classes, float32 [n, classes]; None without a teacher.

    Example:
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> support = fewshot.Labelled(jnp.zeros((2, 4, 4, 1), jnp.uint8), jnp.asarray([0, 1]))
        >>> support.images.shape
        (2, 4, 4, 1)
    """

    images: UInt8[Array, "n height width channels"]
    labels: Int[Array, " n"]
    targets: Float[Array, "n classes"] | None = None


class Episode(eqx.Module):
    """A few-shot problem: learn from the support set, and answer for the query set.

    Images come class by class: labels are 0, …, 0, 1, …, 1, … in both sets. No image is in both.

    Attributes:
        support: way · shot labelled images.
        query: way · queries labelled images.

    Example:
        >>> import jax.numpy as jnp
        >>> from innerloop import fewshot
        >>> labelled = fewshot.Labelled(jnp.zeros((2, 4, 4, 1), jnp.uint8), jnp.asarray([0, 1]))
        >>> fewshot.Episode(support=labelled, query=labelled).query.labels.tolist()
        [0, 1]
    """

    support: Labelled
    query: Labelled


@final
class EpisodeSampler(eqx.Module):
    """Draws episodes of images that are grouped by class.

    Classes are drawn without replacement, and so are the images of each. All is drawn by key,
    inside jit.

    Args:
        data: Images by class.
        way: Classes of an episode.
        shot: Support images of each class.
        queries: Query images of each class.
        augment: Random changes of the images, for training.

    Raises:
        InnerloopError: There are too few classes, or too few images in one of them.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from innerloop import datasets, fewshot
        >>> pixels = np.zeros((8, 28, 28, 1), np.uint8)
        >>> images = datasets.ClassImages(pixels, (4, 4), ("zero", "one"))
        >>> sampler = fewshot.EpisodeSampler(images, way=2, shot=1, queries=3)
        >>> sampler.sample(key=jax.random.key(0)).query.images.shape
        (6, 28, 28, 1)
    """

    images: UInt8[Array, "images height width channels"]
    counts: Int[Array, " classes"]
    starts: Int[Array, " classes"]
    most: int = eqx.field(static=True)
    way: int = eqx.field(static=True)
    shot: int = eqx.field(static=True)
    queries: int = eqx.field(static=True)
    augment: Augmentation

    def __init__(
        self,
        data: ClassImages,
        *,
        way: int,
        shot: int,
        queries: int,
        augment: Augmentation = NONE,
    ):
        for name, size in {"way": way, "shot": shot, "queries": queries}.items():
            if size < 1:
                raise InnerloopError(f"{name} is {size}; it must be at least 1.")
        if way > len(data.counts):
            raise InnerloopError(
                f"An episode of {way} classes cannot be drawn: there are {len(data.counts)}."
            )
        least = int(np.argmin(data.counts))
        if shot + queries > data.counts[least]:
            raise InnerloopError(
                f"An episode takes {shot + queries} images of a class ({shot} to learn from and "
                f"{queries} queries); {Path(data.names[least]).as_posix()} has "
                f"{data.counts[least]}."
            )
        self.images = jnp.asarray(data.images)
        counts = np.asarray(data.counts, np.int32)
        self.counts = jnp.asarray(counts)
        self.starts = jnp.asarray(np.cumsum(counts) - counts)
        self.most = int(counts.max())
        self.way, self.shot, self.queries, self.augment = way, shot, queries, augment

    def sample(self, *, key: PRNGKeyArray) -> Episode:
        """One episode."""
        support, query = self.draw(key=key)
        support_key, query_key = jax.random.split(keys.augmentation(key))
        return Episode(self._labelled(support, support_key), self._labelled(query, query_key))

    def draw(
        self, *, key: PRNGKeyArray
    ) -> tuple[Int[Array, "way shot"], Int[Array, "way queries"]]:
        """The numbers of one episode's images in the data: (support, query), a class a row."""
        class_key, image_key = jax.random.split(key)
        classes = jax.random.permutation(class_key, self.counts.shape[0])[: self.way]

        def of_class(number, key):
            # The largest of random scores, of the class's own images alone: distinct ones.
            scores = jax.random.uniform(key, (self.most,))
            scores = jnp.where(jnp.arange(self.most) < self.counts[number], scores, -1.0)
            _, chosen = jax.lax.top_k(scores, self.shot + self.queries)
            return self.starts[number] + chosen

        chosen = jax.vmap(of_class)(classes, jax.random.split(image_key, self.way))
        return chosen[:, : self.shot], chosen[:, self.shot :]

    def _labelled(self, chosen: Int[Array, "way each"], key: PRNGKeyArray) -> Labelled:
        way, each = chosen.shape
        labels = jnp.repeat(jnp.arange(way, dtype=jnp.int32), each)
        return Labelled(self.augment(self.images[chosen.reshape(-1)], key=key), labels)
