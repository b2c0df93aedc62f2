"""Linear classifiers fitted to the features of a support set, each from a few lines of algebra.

Features are scaled to length 1 first. Whatever the kind, the result is an output layer:
logits = weight · feature + bias.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ._base import cross_entropy

Kind = Literal["cosine", "euclidean", "logistic", "ridge"]
_NEWTON_STEPS = 40  # Of L-BFGS: the loss of five classes has settled after some twenty.
Layer = dict[str, Float[Array, "..."]]


def unit(features: Float[Array, "n width"]) -> Float[Array, "n width"]:
    """Features of length 1; a feature of zeros stays."""
    return features * jax.lax.rsqrt(jnp.sum(features**2, 1, keepdims=True) + 1e-12)


def fit_classifier(
    kind: Kind,
    features: Float[Array, "n width"],
    labels: Int[Array, " n"],
    way: int,
    *,
    penalty: float = 1.0,
) -> Layer:
    """The output layer of that kind for a labelled support set.

    Args:
        kind: "cosine": the similarity with each class's centroid; "euclidean": minus the
            squared distance from it; "logistic": multinomial logistic regression; "ridge":
            least squares of one-hot labels.
        features: Features of the support images, of any length.
        labels: The class of each, from 0 to way − 1.
        way: Classes, each of which has an image. All kinds but "logistic", which is solved by
            L-BFGS, can be differentiated.
        penalty: Of "logistic" and "ridge": the weight λ of λ‖W‖² / 2 beside the summed losses,
            positive.

    Returns:
        `weight` [way, width] and `bias` [way].

    References:
        Snell et al. 2017 (arXiv:1703.05175) for centroids; Tian et al. 2020 (arXiv:2003.11539)
        for logistic regression; Bertinetto et al. 2019 (arXiv:1805.08136) for ridge regression.

    Example:
        >>> import jax.numpy as jnp
        >>> layer = fit_classifier("ridge", jnp.eye(4), jnp.asarray([0, 0, 1, 1]), 2)
        >>> layer["weight"].shape
        (2, 4)
    """
    rows, targets = unit(features), jax.nn.one_hot(labels, way)
    if kind == "ridge":
        return _ridge(rows, targets, penalty)
    if kind == "logistic":
        return _logistic(rows, labels, way, penalty)
    centroids = targets.T @ rows / jnp.sum(targets, 0)[:, None]
    if kind == "cosine":
        return {"weight": unit(centroids), "bias": jnp.zeros(way)}
    # −‖q − c‖² is 2 q·c − ‖c‖² and a number that all classes share.
    return {"weight": 2 * centroids, "bias": -jnp.sum(centroids**2, 1)}


def _ridge(rows: Float[Array, "n width"], targets: Float[Array, "n way"], penalty: float) -> Layer:
    """(XᵀX + λI)⁻¹ XᵀY as Xᵀ (XXᵀ + λI)⁻¹ Y, which is n × n; the bias is a column of ones."""
    rows = jnp.concatenate([rows, jnp.ones((rows.shape[0], 1))], axis=1)
    gram = rows @ rows.T + penalty * jnp.eye(rows.shape[0])
    solution = rows.T @ jnp.linalg.solve(gram, targets)
    return {"weight": solution[:-1].T, "bias": solution[-1]}


def _logistic(
    rows: Float[Array, "n width"], labels: Int[Array, " n"], way: int, penalty: float
) -> Layer:
    def loss(layer: Layer) -> Float[Array, ""]:
        logits = rows @ layer["weight"].T + layer["bias"]
        summed = rows.shape[0] * cross_entropy(logits, labels)
        return summed + 0.5 * penalty * jnp.sum(layer["weight"] ** 2)

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):
        layer, state = carry
        value, grad = value_and_grad(layer, state=state)
        updates, state = solver.update(grad, state, layer, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(layer, updates), state), None

    layer = {"weight": jnp.zeros((way, rows.shape[1])), "bias": jnp.zeros(way)}
    (layer, _), _ = jax.lax.scan(step, (layer, solver.init(layer)), length=_NEWTON_STEPS)
    return layer  # pyright: ignore[reportReturnType]
