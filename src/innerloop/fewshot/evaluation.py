"""Accuracy over many episodes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ..errors import InnerloopError
from ..runtime.devices import (
    PROBLEMS,
    gather,
    over_problems,
    problem_mesh,
    replicate,
    round_up,
    shard,
)
from ..runtime.hosts import alone
from ._base import MetaLearner
from .episode import EpisodeSampler


def evaluate(
    learner: MetaLearner,
    sampler: EpisodeSampler,
    *,
    key: PRNGKeyArray,
    episodes: int = 600,
    transductive: bool = False,
    mesh: Mesh | None = None,
) -> Float[np.ndarray, " episodes"]:
    """The share of query images that are named rightly, in each of so many fresh episodes.

    Episode i depends on `key` and i alone. Every query image is judged by itself, unless
    `transductive`: then all queries of an episode are normalised by their common statistics,
    which tells the learner more than one image would. Raises `InnerloopError` where `episodes`
    is not positive.
    """
    if episodes < 1:
        raise InnerloopError(f"episodes is {episodes}; it must be at least 1.")
    # Devices of one process that do not divide the episodes rest; those of others cannot.
    at_once = episodes if alone() else round_up(episodes)
    mesh = problem_mesh(at_once) if mesh is None else mesh
    learner, sampler = replicate((learner, sampler), mesh)
    keys = jax.random.split(key, episodes)[jnp.arange(at_once) % episodes]
    accuracies = _evaluate(learner, sampler, shard(keys, mesh), transductive, mesh)
    return gather(accuracies)[:episodes]


@eqx.filter_jit
def _evaluate(
    learner: MetaLearner,
    sampler: EpisodeSampler,
    keys: Key[Array, " episodes"],
    transductive: bool,
    mesh: Mesh,
) -> Float[Array, " episodes"]:
    def local(shared: Any, keys: Any) -> Any:
        learner, sampler = shared

        def one(key: PRNGKeyArray) -> Float[Array, ""]:
            episode_key, adapt_key = jax.random.split(key)
            episode = sampler.sample(key=episode_key)
            predict = learner.adapt(episode.support, sampler.way, key=adapt_key)
            logits = predict(episode.query.images, transductive=transductive)
            return jnp.mean(jnp.argmax(logits, axis=1) == episode.query.labels)

        # One after another: an episode alone fills the caches.
        return jax.lax.map(one, keys)

    return over_problems(local, mesh, (learner, sampler), keys, PROBLEMS)


def interval(accuracies: Float[np.ndarray, " episodes"]) -> tuple[float, float]:
    """(mean, half-width of its 95 % interval, 1.96 σ/√n), of at least two."""
    deviation = float(np.std(accuracies, ddof=1))
    return float(np.mean(accuracies)), 1.96 * deviation / len(accuracies) ** 0.5
