"""Confused classes: counted over the same episodes as the accuracy."""

import jax
import numpy as np
import pytest

from innerloop import fewshot
from innerloop.datasets import ClassImages
from innerloop.fewshot.confusion import confusion


@pytest.fixture(scope="module")
def found():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6 * 8, 8, 8, 1)).astype(np.uint8)
    data = ClassImages(pixels, (8,) * 6, tuple("abcdef"))
    shape = fewshot.Shape(way=3, shot=2, side=8, channels=1, classes=6)
    backbone = fewshot.Conv4(side=8, channels=1, filters=2, blocks=1)
    learner = fewshot.make_learner("protonet", shape, backbone, key=jax.random.key(0))
    key = jax.random.key(1)
    sampler = fewshot.EpisodeSampler(data, way=3, shot=2, queries=4)
    accuracies = fewshot.evaluate(learner, sampler, key=key, episodes=20)
    return data, accuracies, confusion(learner, data, key=key, episodes=20, queries=4)


def test_the_diagonal_is_the_accuracy(found):
    _, accuracies, confused = found
    assert confused.counts.sum() == 20 * 3 * 4
    assert np.trace(confused.counts) / confused.counts.sum() == pytest.approx(accuracies.mean())


def test_the_doubtful_are_images_of_their_class_each_once_the_least_sure_first(found):
    data, _, confused = found
    shares = [each.share for each in confused.doubtful]
    assert shares == sorted(shares) and 0 <= shares[0] < 1 / 3
    assert len({each.image.tobytes() for each in confused.doubtful}) == len(shares) == 12
    for each in confused.doubtful:
        own = data.images[8 * each.label : 8 * each.label + 8]
        assert any(np.array_equal(each.image, image) for image in own)
    assert confused.doubtful[0].named != confused.doubtful[0].label
