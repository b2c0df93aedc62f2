"""Features that are made once of each image, for episodes that draw the same images often.

Six hundred 5-way episodes draw 48,000 images, perhaps of 12,000. Where no episode changes what the
features of an image are, they are looked up in a table instead.
"""

import dataclasses
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ..runtime.devices import PROBLEMS, over_problems, problem_mesh, replicate, round_up, shard
from ..runtime.hosts import alone
from ._base import MetaLearner
from .augment import NONE
from .backbones import Backbone, Params, Statistics
from .episode import EpisodeSampler

_BLOCK = 64  # Images that are embedded at once.


@final
class KeptFeatures(Backbone):
    """A backbone whose images are numbers of rows, and whose features are the rows.

    Attributes:
        table: The features of all images.
        layers: The layers of the backbone that made them.
    """

    table: Float[Array, "images width"]
    layers: tuple[str, ...] = eqx.field(static=True, default=())  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def width(self) -> int:
        return self.table.shape[1]

    def init(self, *, key: PRNGKeyArray) -> Params:
        raise NotImplementedError("Features that are kept have no parameters.")

    def features(
        self,
        params: Params,
        images: UInt8[Array, "n 1 1 4"],
        statistics: Statistics | None = None,
    ) -> tuple[Float[Array, "n width"], Statistics]:
        # Meta-training upon features that are kept must not change them.
        return jax.lax.stop_gradient(self.table[_rows(images)]), statistics or {}


@dataclasses.dataclass(frozen=True)
class Kept:
    """An embedding's features of the images that a sampler draws from.

    Attributes:
        backbone: The table.
        sampler: Draws the same episodes, with rows for images.
    """

    backbone: KeptFeatures
    sampler: EpisodeSampler

    def learner(self, learner: MetaLearner) -> MetaLearner:
        """The learner, which looks its features up. Its embedding must be that of the table."""
        return eqx.tree_at(lambda learner: learner.backbone, learner, self.backbone)


def keep(learner: MetaLearner, sampler: EpisodeSampler, episodes: int) -> Kept | None:
    """The features of all of a sampler's images; None where that does not pay or is not allowed.

    Args:
        learner: A learner that is ready for use.
        sampler: Draws the episodes.
        episodes: How many of them the learner will meet, perhaps with other settings each time.
    """
    drawn = episodes * sampler.way * (sampler.shot + sampler.queries)
    images = sampler.images.shape[0]
    if not learner.keeps_features or sampler.augment != NONE or drawn <= images or not alone():
        return None
    if isinstance(learner.backbone, KeptFeatures):
        return None
    embedding: Any = learner
    table = embed_all(embedding, sampler.images)
    backbone = KeptFeatures(side=1, channels=4, table=table, layers=learner.backbone.layers)
    numbers = np.arange(images, dtype="<u4").view(np.uint8).reshape(images, 1, 1, 4)
    return Kept(backbone, eqx.tree_at(lambda s: s.images, sampler, jnp.asarray(numbers)))


def _rows(images: UInt8[Array, "n 1 1 4"]) -> Int[Array, " n"]:
    bytes_ = images[:, 0, 0].astype(jnp.int32)
    return bytes_ @ jnp.asarray([1, 1 << 8, 1 << 16, 1 << 24], jnp.int32)


def embed_all(
    learner: Any, images: UInt8[Array, "images height width channels"]
) -> Float[Array, "images features"]:
    """The features of many images, `learner.embed` of a few at a time on all devices."""
    count = images.shape[0]
    blocks = round_up(-(-count // _BLOCK))
    places = np.arange(blocks * _BLOCK).reshape(blocks, _BLOCK) % count
    mesh = problem_mesh(blocks)
    learner, images = replicate((learner, images), mesh)
    found = _embed(learner, images, shard(jnp.asarray(places), mesh), mesh)
    return jnp.asarray(np.asarray(found).reshape(blocks * _BLOCK, -1)[:count])


@eqx.filter_jit
def _embed(learner: Any, images: Array, places: Int[Array, "blocks block"], mesh: Any) -> Array:
    def local(shared: Any, places: Array) -> Array:
        learner, images = shared
        return jax.lax.map(lambda block: learner.embed(images[block]), places)

    return over_problems(local, mesh, (learner, images), places, PROBLEMS)
