"""The baselines: trained on all classes at once, and used on episodes of others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import coded, episode, learner, noise
from innerloop import InnerloopError
from innerloop.fewshot import BatchSampler
from innerloop.fewshot.embedding import Compared
from innerloop.fewshot.head import apply_head


def test_a_batch_is_labelled_by_class():
    batch = BatchSampler(coded(3, 1, 5), batch=200).sample(key=jax.random.key(0))
    assert batch.images.shape == (200, 2, 2, 2)
    np.testing.assert_array_equal(batch.labels, batch.images[:, 0, 0, 0])
    assert len({tuple(code) for code in batch.images[:, 0, 0].tolist()}) == 9


def test_a_batch_of_none_is_refused():
    with pytest.raises(InnerloopError, match="batch is 0"):
        BatchSampler(coded(3), batch=0)


@pytest.mark.parametrize("method", ["nearest-neighbour", "finetune"])
def test_they_are_trained_by_the_cross_entropy_among_all_classes(method, key):
    mine = learner(method)
    batch = BatchSampler(noise(4), batch=8).sample(key=key)
    features = mine.embed(batch.images, transductive=True)
    logits = np.asarray(apply_head(mine.head, features), float)
    assert mine.trained_on == "batches" and logits.shape == (8, 4)
    normal = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -normal[np.arange(8), batch.labels].mean()
    np.testing.assert_allclose(mine.meta_loss(batch, 4, key=key), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("euclidean", [[-1, -18, -10], [-5, -1, -17]]),
        ("cosine", [[1, 0.8, 0], [4 / 20**0.5, 22 / 500**0.5, 2 / 20**0.5]]),
    ],
)
def test_a_class_is_as_near_as_its_nearest_image(monkeypatch, distance, expected):
    support = jnp.asarray([[2.0, 0.0], [3.0, 0.0], [4.0, 3.0], [0.0, 3.0], [-5.0, 0.0]])
    queries = jnp.asarray([[1.0, 0.0], [4.0, 2.0]])
    mine = learner("nearest-neighbour", distance=distance)
    monkeypatch.setattr(type(mine), "embed", lambda self, images, **_: queries)
    predict = Compared(mine, support, jnp.asarray([0, 0, 1, 2, 2]), 3)
    logits = predict(jnp.zeros((2, 16, 16, 1), jnp.uint8))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_nearest_neighbours_of_the_support_set_are_its_own_images(key):
    for distance in ("euclidean", "cosine"):
        mine, support = (
            learner("nearest-neighbour", distance=distance, filters=8),
            episode().support,
        )
        predict = eqx.filter_jit(mine.adapt(support, 2, key=key))
        assert predict(support.images).argmax(1).tolist() == support.labels.tolist()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_fine_tuning_is_gradient_descent_on_the_output_layer(key, decay):
    settings = {"rate": 0.5, "decay": decay, "steps": 3}
    mine, support = learner("finetune", **settings), episode().support
    features = np.asarray(mine.embed(support.images), float)
    wanted = np.eye(2)[np.asarray(support.labels)]
    weight, bias = (np.asarray(leaf, float) for leaf in mine.adapt(support, 2, key=key).head)
    begun = learner("finetune", **{**settings, "rate": 1e-30}).adapt(support, 2, key=key).head
    w, b = (np.asarray(leaf, float) for leaf in begun)
    for step in range(3):
        votes = np.exp(features @ w.T + b)
        error = (votes / votes.sum(1, keepdims=True) - wanted) / len(wanted)
        rate = 0.5 / (1 + decay * step)
        w, b = w - rate * error.T @ features, b - rate * error.sum(0)
    np.testing.assert_allclose(weight, w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, b, rtol=1e-4, atol=1e-6)
    assert mine.inner_steps == 3


def test_fine_tuning_learns_what_can_be_separated(key):
    mine, support = learner("finetune", rate=1.0, steps=200, filters=8), episode().support
    predict = eqx.filter_jit(mine.adapt(support, 2, key=key))
    assert predict(support.images).argmax(1).tolist() == support.labels.tolist()
