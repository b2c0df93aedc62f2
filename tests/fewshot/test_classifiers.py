"""Classifiers fitted to a support set's features, against what they must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.fewshot._base import cross_entropy
from innerloop.fewshot.classifiers import fit_classifier, unit
from innerloop.fewshot.head import apply_head

KINDS = ("cosine", "euclidean", "logistic", "ridge")


def classes(noise=0.1, each=5, way=3, width=8):
    """Features around a direction for each class, and their labels."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(way), each)
    features = np.eye(way, width)[labels] + noise * random.normal(size=(way * each, width))
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("each", [1, 5])
def test_classes_that_lie_apart_are_told_apart(kind, each):
    features, labels = classes(each=each)
    layer = fit_classifier(kind, features, labels, 3)
    queries, answers = classes(noise=0.2, each=20)
    named = jnp.argmax(apply_head(layer, unit(queries)), axis=1)
    assert float(jnp.mean(named == answers)) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_the_length_of_a_feature_does_not_count(kind):
    features, labels = classes()
    lengths = jnp.linspace(0.1, 10, features.shape[0])[:, None]
    one = fit_classifier(kind, features, labels, 3)
    other = fit_classifier(kind, features * lengths, labels, 3)
    np.testing.assert_allclose(one["weight"], other["weight"], atol=2e-3)


def test_euclidean_logits_are_minus_squared_distances_up_to_a_constant():
    features, labels = classes()
    logits = apply_head(fit_classifier("euclidean", features, labels, 3), unit(features))
    rows = np.asarray(unit(features))
    centroids = np.stack([rows[np.asarray(labels) == number].mean(0) for number in range(3)])
    distances = ((rows[:, None] - centroids[None]) ** 2).sum(2)
    constant = np.asarray(logits) + distances
    np.testing.assert_allclose(
        constant, np.broadcast_to(constant[:, :1], constant.shape), atol=1e-5
    )


def test_ridge_is_the_solution_of_the_normal_equations():
    features, labels = classes()
    layer = fit_classifier("ridge", features, labels, 3, penalty=0.5)
    rows = np.c_[np.asarray(unit(features)), np.ones(len(labels))].astype(float)
    normal = rows.T @ rows + 0.5 * np.eye(9)
    expected = np.linalg.solve(normal, rows.T @ np.eye(3)[np.asarray(labels)])
    np.testing.assert_allclose(layer["weight"], expected[:-1].T, atol=1e-4)
    np.testing.assert_allclose(layer["bias"], expected[-1], atol=1e-4)


def test_logistic_regression_ends_where_its_gradient_is_zero():
    features, labels = classes()
    layer = fit_classifier("logistic", features, labels, 3, penalty=0.3)

    def loss(layer):
        summed = len(labels) * cross_entropy(apply_head(layer, unit(features)), labels)
        return summed + 0.15 * jnp.sum(layer["weight"] ** 2)

    gradient = jax.grad(loss)(layer)
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient)) < 1e-3


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "ridge"])
def test_gradients_reach_the_features(kind):
    features, labels = classes(noise=0.5)

    def loss(features):
        layer = fit_classifier(kind, features[::2], labels[::2], 3)
        return cross_entropy(apply_head(layer, unit(features[1::2])), labels[1::2])

    gradient = jax.grad(loss)(features)
    assert np.all(np.isfinite(gradient)) and float(jnp.max(jnp.abs(gradient[::2]))) > 1e-4
