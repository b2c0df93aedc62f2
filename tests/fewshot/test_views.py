"""Views of an image: which there are, and that features are added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import fewshot
from innerloop.fewshot import views

BACKBONE = fewshot.Conv4(side=16, channels=1, filters=2)


def test_an_image_is_moved_by_a_pixel_each_way_and_mirrored_at_its_edge():
    image = jnp.arange(16, dtype=jnp.uint8).reshape(1, 4, 4, 1)
    down, up, right, left = (np.asarray(each)[0, :, :, 0] for each in views._moved(image))
    rows = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(down, rows[[0, 0, 1, 2]])
    np.testing.assert_array_equal(up, rows[[1, 2, 3, 3]])
    np.testing.assert_array_equal(right, rows[:, [0, 0, 1, 2]])
    np.testing.assert_array_equal(left, rows[:, [1, 2, 3, 3]])


def test_large_images_are_moved_further():
    image = jnp.zeros((1, 84, 84, 1), jnp.uint8).at[0, 40, 40].set(255)
    places = [tuple(np.argwhere(np.asarray(each))[0][1:3]) for each in views._moved(image)]
    assert sorted(places) == [(37, 40), (40, 37), (40, 43), (43, 40)]


@pytest.mark.parametrize("mirrored", [False, True])
def test_features_of_all_views_are_added(mirrored):
    params = BACKBONE.init(key=jax.random.key(0))
    statistics = BACKBONE.init_statistics()
    random = np.random.default_rng(0)
    images = jnp.asarray(random.integers(0, 256, (3, 16, 16, 1), np.uint8))
    seen = [images, images[:, :, ::-1]] if mirrored else [images]
    seen += [moved for view in seen for moved in views._moved(view)]
    one_by_one = sum(BACKBONE.features(params, each, statistics)[0] for each in seen)
    found = views.embed_views(BACKBONE, params, images, statistics, mirrored=mirrored, shifted=True)
    np.testing.assert_allclose(found, one_by_one, rtol=1e-4)
