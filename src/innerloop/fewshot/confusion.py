"""Which classes a learner confuses, and which images it is least sure of."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, UInt8

from ..datasets.class_images import ClassImages
from ._base import MetaLearner
from .episode import EpisodeSampler

EPISODES = 100
"""Episodes that a confusion is measured on, at most."""
DOUBTFUL = 12
"""Images that are kept."""


@dataclasses.dataclass(frozen=True)
class Doubtful:
    """A query that gave its own class a small share of belief."""

    image: UInt8[np.ndarray, "height width channels"]
    """Its pixels, 0 to 255."""
    label: int
    """The number of its class."""
    named: int
    """The number of the class that the learner named."""
    share: float
    """The softmax of its own class's logit, from 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often the queries of each class were taken for each class."""

    names: tuple[str, ...]
    """The classes."""
    counts: Int[np.ndarray, "classes classes"]
    """Queries by true class (row) and named class (column)."""
    doubtful: list[Doubtful]
    """The queries with the smallest share for their own class, the smallest first."""


def confusion(
    learner: MetaLearner,
    data: ClassImages,
    *,
    key: PRNGKeyArray,
    episodes: int = EPISODES,
    queries: int = 15,
    transductive: bool = False,
) -> Confusion:
    """Count which classes are taken for which, over fresh episodes.

    Args:
        learner: A learner that is ready for use.
        data: The images that episodes are drawn from.
        key: Draws the episodes: the same as those of `evaluate` with this key and number.
        episodes: How many, 1 or more.
        queries: Query images of each class.
        transductive: Normalise all queries of an episode by their common statistics.

    Returns:
        The counts, and the queries that the learner was least sure of, each image once.
    """
    shape = learner.shape
    sampler = EpisodeSampler(data, way=shape.way, shot=shape.shot, queries=queries)
    chosen, logits = _answers(learner, sampler, jax.random.split(key, episodes), transductive)
    images = np.asarray(chosen)
    owners = np.searchsorted(data.starts, images, side="right") - 1
    classes = owners[:, :: sampler.queries]
    logits = np.nan_to_num(np.asarray(logits), nan=-1e30, posinf=1e30, neginf=-1e30)
    named = np.take_along_axis(classes, logits.argmax(axis=-1), axis=1)
    counts = np.zeros((len(data.names), len(data.names)), np.int64)
    np.add.at(counts, (owners, named), 1)
    shares = _own_shares(logits, sampler.queries)
    return Confusion(data.names, counts, _least_sure(data, images, owners, named, shares))


@eqx.filter_jit
def _answers(
    learner: MetaLearner,
    sampler: EpisodeSampler,
    keys: Key[Array, " episodes"],
    transductive: bool,
) -> tuple[Int[Array, "episodes queries"], Float[Array, "episodes queries way"]]:
    """(the numbers of the query images, their logits) of each episode."""

    def one(key: PRNGKeyArray) -> Any:
        episode_key, adapt_key = jax.random.split(key)
        episode = sampler.sample(key=episode_key)
        _, query = sampler.draw(key=episode_key)
        predict = learner.adapt(episode.support, sampler.way, key=adapt_key)
        logits = predict(episode.query.images, transductive=transductive)
        return query.reshape(-1), jnp.asarray(logits)

    return jax.lax.map(one, keys)


def _own_shares(
    logits: Float[np.ndarray, "episodes queries way"], each: int
) -> Float[np.ndarray, "episodes queries"]:
    """The softmax of every query's own class."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = shifted / shifted.sum(axis=-1, keepdims=True)
    own = np.repeat(np.arange(logits.shape[-1]), each)
    return shares[:, np.arange(len(own)), own]


def _least_sure(data: ClassImages, images: Any, owners: Any, named: Any, shares: Any) -> Any:
    found: dict[int, Doubtful] = {}
    for place in np.argsort(shares, axis=None, kind="stable"):
        at = np.unravel_index(place, shares.shape)
        number = int(images[at])
        if number not in found:
            pixels = np.asarray(data.images[number])
            found[number] = Doubtful(pixels, int(owners[at]), int(named[at]), float(shares[at]))
        if len(found) == DOUBTFUL:
            break
    return list(found.values())
