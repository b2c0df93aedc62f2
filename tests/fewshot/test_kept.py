"""Features that are kept give the accuracies that images give."""

import equinox as eqx
import jax
import numpy as np
import pytest

import helpers
from innerloop import datasets, fewshot
from innerloop.fewshot.kept import keep
from innerloop.fewshot.tuning import tune

SHAPE = fewshot.Shape(way=3, shot=2, side=16, channels=1, classes=4)


def sampler(**more):
    images = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 1), np.uint8)
    data = datasets.ClassImages(images, (30, 20, 10, 10), ("a", "b", "c", "d"))
    return fewshot.EpisodeSampler(data, way=3, shot=2, queries=3, **more)


def learner(method):
    return helpers.learner(method, shape=SHAPE)


@pytest.mark.parametrize("method", ["protonet", "joint"])
def test_accuracies_are_those_of_images(method, monkeypatch):
    made, episodes = learner(method), sampler()
    assert keep(made, episodes, 20) is not None
    kept = fewshot.evaluate(made, episodes, key=jax.random.key(1), episodes=20)
    monkeypatch.setattr("innerloop.fewshot.evaluation.keep", lambda *_: None)
    plain = fewshot.evaluate(made, episodes, key=jax.random.key(1), episodes=20)
    # A query between two classes may fall to either, where sums are made in another order.
    assert np.mean(kept != plain) < 0.1
    np.testing.assert_allclose(kept.mean(), plain.mean(), atol=0.02)


def test_rows_are_the_images_own():
    made, episodes = learner("protonet"), sampler()
    kept = keep(made, episodes, 20)
    for row in (0, 69):
        np.testing.assert_allclose(
            kept.learner(made).embed(kept.sampler.images[row : row + 1]),
            made.embed(episodes.images[row : row + 1]),
            atol=1e-4,
        )


@pytest.mark.parametrize(
    ("method", "episodes", "more"),
    [
        ("maml", 20, {}),
        ("protonet", 1, {}),
        ("protonet", 20, {"augment": fewshot.Augmentation(flip=True)}),
    ],
)
def test_nothing_is_kept_where_it_does_not_pay_or_may_not_be(method, episodes, more):
    assert keep(learner(method), sampler(**more), episodes) is None


def test_copies_that_are_changed_are_no_rows():
    made = learner("joint")
    assert keep(made.with_settings(copies=2), sampler(), 20) is None
    _, tried = tune(made, sampler(), key=jax.random.key(0), episodes=4)
    assert any(each["settings"].get("copies") == 5 for each in tried)


def test_meta_training_moves_no_features_that_are_kept():
    made, episodes = learner("protonet"), sampler()
    kept = keep(made, episodes, 20)

    def total(backbone):
        return backbone.features({}, kept.sampler.images[:5])[0].sum()

    np.testing.assert_array_equal(eqx.filter_grad(total)(kept.backbone).table, 0)


def test_an_output_layer_is_trained_upon_kept_features_as_upon_images(monkeypatch):
    made = helpers.learner("maml", shape=SHAPE, adapt="head", learn_embedding=False, steps=2)
    asked = fewshot.EpisodeSettings(steps=12, validate_every=12, validation_problems=2)
    upon_features = fewshot.train(made, sampler(), sampler(), settings=asked).rule
    monkeypatch.setattr("innerloop.fewshot.training.keep", lambda *_: None)
    upon_images = fewshot.train(made, sampler(), sampler(), settings=asked).rule
    assert isinstance(upon_features.backbone, fewshot.Conv4)
    for name, leaf in upon_images.params["head"].items():
        assert np.any(leaf != made.params["head"][name])
        np.testing.assert_allclose(upon_features.params["head"][name], leaf, atol=1e-3)
    np.testing.assert_array_equal(
        upon_features.params["block1"]["kernel"], made.params["block1"]["kernel"]
    )
