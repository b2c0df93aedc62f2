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


class Directions(NamedTuple):
    """Coordinates in which W is I and B is diagonal.

    Attributes:
        mean: What is taken off features first.
        to: What they are then multiplied by.
        ratio: The diagonal of B, in units of the variance within classes.
    """

    mean: Float[Array, " width"]
    to: Float[Array, "width width"]
    ratio: Float[Array, " width"]

    def __call__(self, features: Float[Array, "n width"]) -> Float[Array, "n width"]:
        return (features - self.mean) @ self.to


def unknown(width: int) -> Spread:
    """Features of length 1 that lie alike in all directions: what is taken before any are seen."""
    identity = jnp.eye(width) / width
    return Spread(jnp.zeros(width), identity, identity)


def diagonalise(spread: Spread, shrinkage: float) -> Directions:
    """The directions of a spread.

    Args:
        spread: The covariances.
        shrinkage: What is added to every direction of W, in units of its mean variance.
    """
    within = widen(spread.within, shrinkage)
    variances, axes = jnp.linalg.eigh(within)
    white = axes * jax.lax.rsqrt(variances)
    ratio, turn = jnp.linalg.eigh(white.T @ spread.between @ white)
    return Directions(spread.mean, white @ turn, jnp.maximum(ratio, 0.0))


def whiten(
    spread: Spread, features: Float[Array, "n width"], shrinkage: float, shot: int
) -> Float[Array, "n width"]:
    """Features for gradient descent on an output layer: directions that tell classes apart count.

    Bayes' rule compares a query q with the mean x̄ of n support images by q · S⁻¹ G x̄, where
    G = B (B + W / n)⁻¹ tells how far x̄ is believed, and S = W + B − G B is the covariance of
    queries around it. S⁻¹ G / n is symmetric and positive. Features times a root of it have these
    inner products, and one step of gradient descent from an output layer of zeros compares by
    inner products.

    Args:
        spread: The covariances. No gradient reaches them.
        features: Features, of any length.
        shrinkage: What is added to every direction of W, in units of its mean variance.
        shot: Support images of a class, n.
    """
    mean, within, between = jax.lax.stop_gradient(spread)
    within = widen(within, shrinkage)
    gain = jnp.linalg.solve(between + within / shot, between).T
    kernel = jnp.linalg.solve(within + between - gain @ between, gain) / shot
    kernel = (kernel + kernel.T) / 2
    floor = 1e-5 * jnp.trace(kernel) / mean.shape[0] * jnp.eye(mean.shape[0])
    return (unit(features) - mean) @ jnp.linalg.cholesky(kernel + floor)


def widen(covariance: Float[Array, "width width"], share: float) -> Float[Array, "width width"]:
    """A covariance with a share of its mean variance added in every direction."""
    width = covariance.shape[0]
    variance = jnp.trace(covariance) / width + 1e-12
    # A floor keeps float32 from dividing by a direction in which nothing varies.
    return covariance + max(share, 1e-4) * variance * jnp.eye(width)


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
    # What means differ by for want of images is taken off B, which may leave less than nothing in
    # directions that tell no classes apart.
    variances, axes = jnp.linalg.eigh(between)
    return Spread(mean, within, axes * jnp.maximum(variances, 0.0) @ axes.T)
