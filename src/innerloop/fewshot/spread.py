"""How features lie within and between the classes of meta-training."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .classifiers import unit

_DRAWS = 50  # Episodes of meta-training that the covariances are estimated from.


class Spread(NamedTuple):
    """How features lie, over all classes of meta-training.

    Attributes:
        mean: The mean of the classes' means.
        within: The covariance of features around their class's mean.
        between: The covariance of the classes' means.
    """

    mean: Float[Array, " width"]
    within: Float[Array, "width width"]
    between: Float[Array, "width width"]


def unknown(width: int) -> Spread:
    """Features of length 1 that lie alike in all directions: what is taken before any are seen."""
    identity = jnp.eye(width) / width
    return Spread(jnp.zeros(width), identity, identity)


def diagonalise(
    spread: Spread, shrinkage: float
) -> tuple[Float[Array, "width width"], Float[Array, " width"]]:
    """(T, b): features times T have covariance I within classes and diag(b) between them.

    Args:
        spread: The covariances.
        shrinkage: What is added to every direction of W, in units of its mean variance.
    """
    width = spread.mean.shape[0]
    variance = jnp.trace(spread.within) / width + 1e-12
    # A floor keeps float32 from dividing by a direction in which nothing varies.
    within = spread.within + max(shrinkage, 1e-4) * variance * jnp.eye(width)
    variances, axes = jnp.linalg.eigh(within)
    white = axes * jax.lax.rsqrt(jnp.maximum(variances, 1e-6 * variance))
    ratio, turn = jnp.linalg.eigh(white.T @ spread.between @ white)
    # What the classes' means differ by for want of images is taken off B, which may leave less than
    # nothing in directions that tell no classes apart.
    return white @ turn, jnp.maximum(ratio, 0.0)


def whiten(
    spread: Spread, features: Float[Array, "n width"], shrinkage: float, shot: int
) -> Float[Array, "n width"]:
    """Features for gradient descent on an output layer: directions that tell classes apart count.

    Where W is I and B is diag(b), the mean of `shot` images tells a class's mean to a share of
    shot · b / (1 + shot · b), and a query lies around it with variance 1 + b / (1 + shot · b).
    Coordinates are scaled so that inner products of an image with a query are the ones by which
    Bayes' rule compares them: by √(b / (1 + (shot + 1) b)).

    Args:
        spread: The covariances. No gradient reaches them.
        features: Features, of any length.
        shrinkage: As in `diagonalise`.
        shot: Support images of a class.
    """
    spread = jax.lax.stop_gradient(spread)
    to, ratio = diagonalise(spread, shrinkage)
    return (unit(features) - spread.mean) @ to * jnp.sqrt(ratio / (1 + (shot + 1) * ratio))


@eqx.filter_jit
def gather_spread(learner: Any, source: Any, key: PRNGKeyArray) -> Spread:
    """Mean and covariances of a learner's features, estimated from 50 episodes.

    Args:
        learner: Embeds images.
        source: Draws episodes.
        key: Draws them.
    """
    way, width = source.way, learner.backbone.width

    def add(sums: Any, key: PRNGKeyArray) -> tuple[Any, None]:
        episode = source.sample(key=key)
        parts = [episode.support, episode.query]
        labels = jnp.concatenate([part.labels for part in parts])
        features = learner.embed(jnp.concatenate([part.images for part in parts]))
        members = jax.nn.one_hot(labels, way).T
        means = members @ features / jnp.sum(members, 1, keepdims=True)
        rest = features - means[labels]
        found = (jnp.sum(means, 0), means.T @ means, rest.T @ rest)
        return jax.tree.map(jnp.add, sums, found), None

    zero = (jnp.zeros(width), jnp.zeros((width, width)), jnp.zeros((width, width)))
    (sums, squares, rest), _ = jax.lax.scan(add, zero, jax.random.split(key, _DRAWS))
    each = source.shot + source.queries
    classes = _DRAWS * way
    mean, within = sums / classes, rest / (classes * max(each - 1, 1))
    between = squares / classes - jnp.outer(mean, mean) - within / each
    return Spread(mean, within, between)
