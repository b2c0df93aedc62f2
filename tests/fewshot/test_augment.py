"""Changes of training images: which there are, and that there are no others."""

import jax.numpy as jnp
import numpy as np
import pytest

from helpers import noise
from innerloop import InnerloopError
from innerloop.fewshot import Augmentation, BatchSampler, EpisodeSampler


@pytest.fixture
def images():
    return jnp.asarray(noise(4, 100, side=6, channels=3).images)


def test_without_changes_images_stay_as_they_are(images, key):
    np.testing.assert_array_equal(Augmentation()(images, key=key), images)


def test_half_of_the_images_are_mirrored_left_to_right(images, key):
    changed = np.asarray(Augmentation(flip=True)(images, key=key))
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, images, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert all(np.add(mirrored, kept) == 1) and 160 < sum(mirrored) < 240


def test_images_are_moved_in_both_directions_and_mirrored_at_the_edge(images, key):
    changed = np.asarray(Augmentation(shift=2)(images, key=key))
    seen = set()
    for new, old in zip(changed, np.asarray(images), strict=True):
        padded = np.pad(old, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        moves = [(i, j) for i in range(5) for j in range(5)]
        fits = [m for m in moves if np.array_equal(padded[m[0] : m[0] + 6, m[1] : m[1] + 6], new)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 25


def slopes(image, axis):
    """By how much an image rises a pixel, in the middle of it."""
    rises = np.asarray(image, float)[12:22, 12:22, 0]
    return np.mean(np.diff(rises, axis=axis))


def test_images_are_turned_and_stretched_about_their_centre_as_far_as_is_asked(key):
    rows = np.broadcast_to(6 * np.arange(35)[:, None, None], (35, 35, 1))
    ramps = jnp.asarray(np.stack([rows, rows.swapaxes(0, 1)] * 200).astype(np.uint8))
    changed = np.asarray(Augmentation(affine=0.2)(ramps, key=key))
    assert np.all(changed[:, 17, 17] == 6 * 17)
    drawn = []
    for number, image in enumerate(changed):
        along, across = (0, 1) if number % 2 == 0 else (1, 0)
        drawn.append((slopes(image, along) / 6 - 1, slopes(image, across) / 6))
    for entry in np.transpose(drawn):
        assert np.abs(entry).max() < 0.22 and np.abs(entry.mean()) < 0.02
        np.testing.assert_allclose(entry.std(), 0.2 / 3**0.5, atol=0.01)
    assert abs(np.corrcoef(np.transpose(drawn))[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shift": -1}, "shift is -1"),
        ({"shift": 6}, "Images of 6×6 pixels cannot be moved by 6"),
        ({"affine": -0.1}, "affine is -0.1"),
        ({"affine": 0.5}, "affine is 0.5"),
        ({"affine": float("nan")}, "affine is nan"),
    ],
)
def test_changes_that_there_are_not_are_refused(images, key, changes, words):
    with pytest.raises(InnerloopError, match=words):
        Augmentation(**changes)(images, key=key)


def test_an_episode_is_the_same_but_for_its_images_changes(key):
    data = noise(side=6)
    settings = {"way": 3, "shot": 2, "queries": 2}
    plain = EpisodeSampler(data, **settings).sample(key=key)
    flipped = EpisodeSampler(data, **settings, augment=Augmentation(flip=True)).sample(key=key)
    for one, other in ((plain.support, flipped.support), (plain.query, flipped.query)):
        for old, new in zip(np.asarray(one.images), np.asarray(other.images), strict=True):
            assert np.array_equal(new, old) or np.array_equal(new, old[:, ::-1])
        assert not np.array_equal(one.images, other.images)


def test_a_batch_is_changed_too(key):
    data = noise(side=6)
    plain = BatchSampler(data, batch=20).sample(key=key)
    moved = BatchSampler(data, batch=20, augment=Augmentation(shift=1)).sample(key=key)
    np.testing.assert_array_equal(plain.labels, moved.labels)
    assert not np.array_equal(plain.images, moved.images)
