"""Classes that are Gaussians of a known spread, against the algebra and against drawn classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from innerloop import datasets, fewshot
from innerloop.fewshot import spread as spreads
from innerloop.fewshot.methods.plda import log_densities

WIDTH = 4
SHAPE = fewshot.Shape(way=3, shot=2, side=16, channels=1, classes=4)


def covariances(seed=0):
    random = np.random.default_rng(seed)
    parts = [random.normal(size=(WIDTH, WIDTH)) for _ in range(2)]
    within, between = (part @ part.T / WIDTH + 0.1 * np.eye(WIDTH) for part in parts)
    return spreads.Spread(jnp.zeros(WIDTH), jnp.asarray(within), jnp.asarray(between))


def by_hand(spread, support, labels, query, way):
    """The logits as they are written in the class's docstring, in 64 bits."""
    within, between = (np.asarray(part, np.float64) for part in spread[1:])
    found = []
    for number in range(way):
        own = support[labels == number]
        gain = between @ np.linalg.inv(between + within / len(own))
        covariance = within + between - gain @ between
        off = query - own.mean(0) @ gain.T
        found.append(
            -0.5 * np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
            - 0.5 * np.linalg.slogdet(covariance)[1]
        )
    return np.stack(found, axis=1)


def test_logits_are_log_densities_by_bayes_rule():
    random, spread = np.random.default_rng(1), covariances()
    support, query = random.normal(size=(6, WIDTH)), random.normal(size=(5, WIDTH))
    labels = np.asarray([0, 0, 0, 1, 1, 2])  # Classes of three, two and one images.
    along = spreads.diagonalise(spread, 0.0)
    given = along(jnp.asarray(support)), jnp.asarray(labels), along(jnp.asarray(query))
    found = log_densities(*given, along.ratio, 3)
    expected = by_hand(spread, support, labels, query, 3)
    centred = [each - each.mean(1, keepdims=True) for each in (np.asarray(found), expected)]
    np.testing.assert_allclose(*centred, rtol=2e-3, atol=2e-3)


def test_the_new_coordinates_are_white_within_classes_and_diagonal_between():
    spread = covariances()
    _, to, ratio = spreads.diagonalise(spread, 0.0)
    np.testing.assert_allclose(to.T @ spread.within @ to, np.eye(WIDTH), atol=1e-3)
    np.testing.assert_allclose(to.T @ spread.between @ to, np.diag(ratio), atol=1e-3)


def test_shrinkage_is_in_units_of_the_mean_variance():
    spread = covariances()
    wider = spread.within + 2 * jnp.trace(spread.within) / WIDTH * jnp.eye(WIDTH)
    _, to, _ = spreads.diagonalise(spread, 2.0)
    np.testing.assert_allclose(to.T @ wider @ to, np.eye(WIDTH), atol=1e-3)


@pytest.mark.parametrize("shot", [1, 4])
def test_inner_products_of_whitened_features_are_those_of_bayes_rule(shot):
    spread = covariances()
    random = np.random.default_rng(2)
    rows = random.normal(size=(2, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    white = np.asarray(spreads.whiten(spread, jnp.asarray(rows), 0.0, shot))
    within, between = (np.asarray(part, np.float64) for part in spread[1:])
    gain = between @ np.linalg.inv(between + within / shot)
    expected = rows[0] @ np.linalg.inv(within + between - gain @ between) @ gain @ rows[1]
    # A sum of `shot` images in place of their mean: gradients are sums over images.
    np.testing.assert_allclose(shot * white[0] @ white[1], expected, rtol=5e-3, atol=1e-4)


class Drawn:
    """Episodes of Gaussian classes, whose images hold float32 features as bytes."""

    way, shot, queries = 5, 2, 6

    def __init__(self, spread):
        self.roots = [np.linalg.cholesky(np.asarray(part)) for part in spread[1:]]

    def sample(self, *, key):
        mean_key, *image_keys = jax.random.split(key, 3)
        means = jax.random.normal(mean_key, (self.way, WIDTH)) @ self.roots[1].T
        parts = []
        for each, image_key in zip((self.shot, self.queries), image_keys, strict=True):
            noise = jax.random.normal(image_key, (self.way, each, WIDTH)) @ self.roots[0].T
            features = (means[:, None] + noise).reshape(-1, 1, 1, WIDTH)
            images = jax.lax.bitcast_convert_type(features, jnp.uint8).reshape(-1, 1, 1, 4 * WIDTH)
            parts.append(fewshot.Labelled(images, jnp.repeat(jnp.arange(self.way), each)))
        return fewshot.Episode(*parts)


class Read:
    """An embedding that reads such images back."""

    backbone = fewshot.Conv4(side=4, channels=1, filters=WIDTH, blocks=1, pool="mean")

    def embed(self, images):
        return jax.lax.bitcast_convert_type(images.reshape(-1, WIDTH, 4), jnp.float32)


def test_covariances_are_those_that_classes_were_drawn_with(monkeypatch):
    monkeypatch.setattr(spreads, "_DRAWS", 2_000)
    truth = covariances()
    # Past the jit, which has no name for these classes.
    gather = spreads.gather_spread.__wrapped__
    found = gather(Read(), Drawn(truth), jax.random.key(0))
    np.testing.assert_allclose(found.mean, 0, atol=0.05)
    np.testing.assert_allclose(found.within, truth.within, atol=0.05)
    np.testing.assert_allclose(found.between, truth.between, atol=0.1)


def test_a_mirror_image_is_the_same_image():
    learner = helpers.learner("plda", shape=SHAPE, mirrored=True)
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8))
    np.testing.assert_allclose(learner.embed(images), learner.embed(images[:, :, ::-1]), atol=1e-5)
    plain = learner.with_settings(mirrored=False)
    assert not np.allclose(plain.embed(images), plain.embed(images[:, :, ::-1]), atol=1e-3)


def test_whitening_is_taken_over_from_it(tmp_path):
    mine = helpers.learner("plda", shape=SHAPE)
    random = np.random.default_rng(0)
    data = datasets.ClassImages(
        random.integers(0, 256, (40, 16, 16, 1), np.uint8), (10,) * 4, tuple("abcd")
    )
    source = fewshot.EpisodeSampler(data, way=3, shot=2, queries=3)
    ready = mine.finalize(source, key=jax.random.key(0))
    path = fewshot.save(ready, tmp_path / "plda.safetensors")
    maml = helpers.learner("maml", shape=SHAPE, adapt="head", features="whitened")
    begun = fewshot.init_from(maml, path)
    for ours, theirs in zip(begun.spread, ready.spread, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.allclose(begun.spread.within, maml.spread.within)
