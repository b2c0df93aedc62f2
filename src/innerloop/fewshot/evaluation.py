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
from ..runtime.promotion import usual_promotion
from ._base import MetaLearner
from .episode import EpisodeSampler
from .kept import keep


@usual_promotion()
def evaluate(
    learner: MetaLearner,
    sampler: EpisodeSampler,
    *,
    key: PRNGKeyArray,
    episodes: int = 600,
    transductive: bool = False,
    mesh: Mesh | None = None,
) -> Float[np.ndarray, " episodes"]:
    """The share of query images that are named rightly, in each of many fresh episodes.

    Episode i depends on `key` and i alone. Every query image is judged by itself, unless
    `transductive`.

    Args:
        learner: A learner that is ready for use.
        sampler: Draws the episodes.
        key: Draws the episodes, and whatever the learner draws.
        episodes: How many episodes, 1 or more.
        transductive: Normalise all queries of an episode by their common statistics, which tells
            the learner more than one image would.
        mesh: The devices; None for all that divide the episodes.

    Returns:
        Accuracies from 0 to 1, float32 [episodes]. An episode with a logit that is no finite
        number has no accuracy: it is NaN.

    Raises:
        InnerloopError: `episodes` is not positive.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from innerloop import datasets, fewshot
        >>> images = datasets.ClassImages(np.zeros((4, 4, 4, 1), np.uint8), (2, 2), ("zero", "one"))
        >>> sampler = fewshot.EpisodeSampler(images, way=2, shot=1, queries=1)
        >>> shape = fewshot.Shape(way=2, shot=1, side=4, channels=1, classes=2)
        >>> backbone = fewshot.Conv4(side=4, channels=1, filters=2, blocks=1)
        >>> learner = fewshot.make_learner("protonet", shape, backbone, key=jax.random.key(0))
        >>> fewshot.evaluate(learner, sampler, key=jax.random.key(1), episodes=3).shape
        (3,)
    """
    if episodes < 1:
        raise InnerloopError(f"episodes is {episodes}; it must be at least 1.")
    # Devices of one process that do not divide the episodes rest; those of others cannot.
    at_once = episodes if alone() else round_up(episodes)
    mesh = problem_mesh(at_once) if mesh is None else mesh
    kept = None if transductive else keep(learner, sampler, episodes)
    if kept is not None:
        learner, sampler = kept.learner(learner), kept.sampler
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
            # The argmax of NaN is class 0, which is right as often as any other.
            right = jnp.mean(jnp.argmax(logits, axis=1) == episode.query.labels)
            return jnp.where(jnp.all(jnp.isfinite(logits)), right, jnp.nan)

        # One after another: an episode alone fills the caches.
        return jax.lax.map(one, keys)

    return over_problems(local, mesh, (learner, sampler), keys, PROBLEMS)


def check_finite(accuracies: Float[np.ndarray, " episodes"], name: str) -> None:
    """Raises `InnerloopError`, with their count, where the learner `name` failed in episodes."""
    failed = int(np.sum(~np.isfinite(accuracies)))
    if failed:
        raise InnerloopError(
            f"{name} has no accuracy: in {failed} of {len(accuracies)} episodes its logits are no "
            "finite numbers."
        )


def interval(accuracies: Float[np.ndarray, " episodes"]) -> tuple[float, float]:
    """The mean accuracy, and the half-width of its 95 % interval, 1.96 σ/√n.

    Args:
        accuracies: Two or more, float [episodes], as `evaluate` returns them.

    Returns:
        (mean, half-width), in the unit of the accuracies.

    Example:
        >>> import numpy as np
        >>> from innerloop import fewshot
        >>> mean, half = fewshot.interval(np.asarray([0.5, 1.0], np.float32))
        >>> round(mean, 2), round(half, 2)
        (0.75, 0.49)
    """
    with np.errstate(invalid="ignore"):  # Of what is not finite both are NaN or infinite.
        deviation = float(np.std(accuracies, ddof=1))
    return float(np.mean(accuracies)), 1.96 * deviation / len(accuracies) ** 0.5
