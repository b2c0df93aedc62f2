"""Episodes: what is in them, what never is, and what cannot be drawn."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import coded, same
from innerloop import InnerloopError
from innerloop.fewshot import EpisodeSampler

COUNTS = (3, 9, 5, 4)


@pytest.fixture(scope="module")
def sampler():
    return EpisodeSampler(coded(*COUNTS), way=3, shot=2, queries=1)


@pytest.fixture(scope="module")
def episodes(sampler):
    """Three hundred of them, one after another along the first axis."""
    keys = jax.random.split(jax.random.key(0), 300)
    return eqx.filter_jit(lambda keys: jax.vmap(lambda key: sampler.sample(key=key))(keys))(keys)


@pytest.fixture(scope="module")
def drawn(episodes):
    """(class, image's number) of every image: [episodes, way, shot + queries, 2]."""
    parts = [episodes.support.images, episodes.query.images]
    codes = [np.asarray(part)[:, :, 0, 0].reshape(300, 3, -1, 2) for part in parts]
    return np.concatenate(codes, axis=2)


def test_an_episode_has_its_images_class_by_class(sampler, key):
    episode = sampler.sample(key=key)
    assert episode.support.images.shape == (6, 2, 2, 2) and episode.support.images.dtype == "uint8"
    assert episode.query.images.shape == (3, 2, 2, 2)
    assert episode.support.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert episode.query.labels.tolist() == [0, 1, 2]


def test_a_label_stands_for_one_class_and_no_two_for_the_same(drawn):
    classes = drawn[..., 0]
    assert np.all(classes == classes[:, :, :1])
    assert all(len(set(row)) == 3 for row in classes[:, :, 0].tolist())


def test_no_image_is_in_an_episode_twice(drawn):
    for numbers in drawn[..., 1].reshape(-1, 3).tolist():
        assert len(set(numbers)) == 3


def test_every_image_of_every_class_is_drawn_and_no_other(drawn):
    seen = {tuple(code) for code in drawn.reshape(-1, 2).tolist()}
    assert seen == {(number, i) for number, count in enumerate(COUNTS) for i in range(count)}


def test_every_class_and_image_is_drawn_as_often_as_another(drawn):
    classes = np.bincount(drawn[:, :, 0, 0].reshape(-1), minlength=4) / 300
    np.testing.assert_allclose(classes, 0.75, atol=0.12)  # Five standard deviations.
    second = drawn[drawn[..., 0] == 1][:, 1]
    np.testing.assert_allclose(np.bincount(second) / len(second), 1 / 9, atol=0.06)


def test_the_same_key_gives_the_same_episode(sampler, key, episodes):
    assert same(sampler.sample(key=key), sampler.sample(key=key))
    first = jax.tree.map(lambda leaf: leaf[0], episodes)
    again = eqx.filter_jit(sampler.sample)(key=jax.random.split(key, 300)[0])
    assert same(first, again)
    assert not same(first, jax.tree.map(lambda leaf: leaf[1], episodes))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"way": 5}, "episode of 5 classes cannot be drawn: there are 4"),
        ({"shot": 3}, r"takes 4 images of a class \(3 to learn from and 1 queries\); 0 has 3"),
        ({"queries": 2}, r"takes 4 images of a class \(2 to learn from and 2 queries\); 0 has 3"),
        ({"way": 0}, "way is 0"),
        ({"shot": -1}, "shot is -1"),
        ({"queries": 0}, "queries is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(asked, words):
    with pytest.raises(InnerloopError, match=words):
        EpisodeSampler(coded(*COUNTS), **{"way": 3, "shot": 2, "queries": 1, **asked})


def test_all_there_is_can_be_asked_for():
    episode = EpisodeSampler(coded(2, 2), way=2, shot=1, queries=1).sample(key=jax.random.key(0))
    images = jnp.concatenate([episode.support.images, episode.query.images])[:, 0, 0]
    assert sorted(map(tuple, images.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
